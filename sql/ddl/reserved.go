package ddl

import "strings"

// reserved holds the words that MySQL 8 does not take as names unless quoted.
// A statement may not use them bare either: the first SELECT would fail.
var reserved = wordSet(`
accessible add all alter analyze and as asc asensitive before between bigint
binary blob both by call cascade case change char character check collate column
condition constraint continue convert create cross cube cume_dist current_date
current_time current_timestamp current_user cursor database databases day_hour
day_microsecond day_minute day_second dec decimal declare default delayed delete
dense_rank desc describe deterministic distinct distinctrow div double drop dual
each else elseif empty enclosed escaped except exists exit explain false fetch
first_value float float4 float8 for force foreign from fulltext function
generated get grant group grouping groups having high_priority hour_microsecond
hour_minute hour_second if ignore in index infile inner inout insensitive insert
int int1 int2 int3 int4 int8 integer intersect interval into io_after_gtids
io_before_gtids is iterate join json_table key keys kill lag last_value lateral
lead leading leave left like limit linear lines load localtime localtimestamp
lock long longblob longtext loop low_priority master_bind
master_ssl_verify_server_cert match maxvalue mediumblob mediumint mediumtext
middleint minute_microsecond minute_second mod modifies natural not
no_write_to_binlog nth_value ntile null numeric of on optimize optimizer_costs
option optionally or order out outer outfile over partition percent_rank
precision primary procedure purge range rank read reads read_write real
recursive references regexp release rename repeat replace require resignal
restrict return revoke right rlike row rows row_number schema schemas
second_microsecond select sensitive separator set show signal smallint spatial
specific sql sqlexception sqlstate sqlwarning sql_big_result sql_calc_found_rows
sql_small_result ssl starting stored straight_join system table terminated then
tinyblob tinyint tinytext to trailing trigger true undo union unique unlock
unsigned update usage use using utc_date utc_time utc_timestamp values varbinary
varchar varcharacter varying virtual when where while window with write xor
year_month zerofill
`)

// mustQuote holds the words that QuoteName quotes: the reserved ones, and those
// that newer versions of MySQL or the parser beneath weir take as names in some
// places only, or not at all.
var mustQuote = wordSet(`
account application_password_admin attribute audit_abort_exempt audit_admin
authentication_policy_admin avg backup_admin binlog_admin
binlog_encryption_admin bit_and bit_or bit_xor cast clone_admin comment
connection_admin contained copy count encrypted encryption_key_admin
encryption_key_id escape event exclusive execute extract failed_login_attempts
file firewall_admin firewall_exempt firewall_user first flush_optimizer_costs
flush_status flush_tables flush_user_resources format full get_format
group_concat group_replication_admin group_replication_stream identified
innodb_redo_log_archive innodb_redo_log_enable inplace itef_quotes json_arrayagg
json_objectagg manual max min ndb_stored_user next none now off page_checksum
page_compressed page_compression_level parallel password password_lock_time
passwordless_user_admin persist_ro_variables_admin plan position process qualify
reload replication_applier replication_slave_admin resource_group_admin
resource_group_user role_admin sensitive_variables_observer
session_variables_admin set_user_id shared show_routine shutdown
skip_query_rewrite sql_cache sql_no_cache std stddev stddev_pop stddev_samp
substr substring sum super system_time system_variables_admin
table_encryption_admin tablesample timestampadd timestampdiff
tp_connection_admin transactional trim var_pop var_samp variance vector
version_token_admin versioning versions view xa_recover_admin yes
_armscii8 _ascii _big5 _binary _cp1250 _cp1251 _cp1256 _cp1257 _cp850 _cp852
_cp866 _cp932 _dec8 _eucjpms _euckr _gb18030 _gb2312 _gbk _geostd8 _greek
_hebrew _hp8 _keybcs2 _koi8r _koi8u _latin1 _latin2 _latin5 _latin7 _macce
_macroman _sjis _swe7 _tis620 _ucs2 _ujis _utf16 _utf16le _utf32 _utf8 _utf8mb3
_utf8mb4
`, reserved)

// wordSet is the set of the words in text and of those in the other sets.
func wordSet(text string, others ...map[string]bool) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(text) {
		set[w] = true
	}
	for _, other := range others {
		for w := range other {
			set[w] = true
		}
	}
	return set
}
