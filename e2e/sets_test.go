package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// A dataset is a real data set with the stream it is published to, views over
// it, and what reading them must answer.
type dataset struct {
	name    string // of its folder
	stream  string
	subject string
	columns string // of the stream
	options string // of the stream
	events  func(t testing.TB) []event
	dead    []int // lines that do not decode, from 1
	views   []viewDef
	checks  []check
	large   bool // too large for a server under the race detector
}

// A viewDef is the definition of a view. It is created twice: as it is named,
// and with the ending kappa.
type viewDef struct {
	name, query string
	count       string // the column that is COUNT(*), if it has one
}

// kappa ends the name of a view in kappa mode.
const kappa = "_kappa"

// A check is a query over views, in braces, whose rows must be those of a
// reference answer.
type check struct {
	answer  string
	where   string   // of the answer's rows: column=value or column!=value
	columns []string // of the answer, if not all
	query   string
	approx  []string // columns that APPROX_PERCENTILE computes
}

// create makes the stream.
func (d *dataset) create() string {
	options := fmt.Sprintf("subjects = '%s', duplicate_window = '5m', %s", d.subject, d.options)
	return fmt.Sprintf("CREATE STREAM %s (%s) WITH (%s)", d.stream, d.columns, options)
}

// lambda makes a view in lambda mode; options may add to its batch runs.
func (v *viewDef) lambda(options string) string {
	return fmt.Sprintf("CREATE MATERIALIZED VIEW %s WITH (mode = 'lambda'%s) AS %s", v.name, options, v.query)
}

func (v *viewDef) kappa() string {
	return fmt.Sprintf("CREATE MATERIALIZED VIEW %s WITH (mode = 'kappa') AS %s", v.name+kappa, v.query)
}

// filtered says that the view does not count every event.
func (v *viewDef) filtered() bool { return strings.Contains(v.query, "WHERE") }

var inBraces = regexp.MustCompile(`\{(\w+)\}`)

// sql is the check's query over the views whose names have the ending.
func (c *check) sql(ending string) string {
	return inBraces.ReplaceAllString(c.query, "${1}"+ending)
}

// run makes a check over the views whose names have the ending.
func (d *dataset) run(t testing.TB, c *check, ending string, rows func(query string) [][]string) bool {
	t.Helper()
	want := answers(t, d.name, c.answer).where(t, c.where).only(t, c.columns)
	query := c.sql(ending)
	return compare(t, d.name+" "+c.answer+" by "+query, want, rows(query), c.approx)
}

// datasets are all of them.
var datasets = []*dataset{&apache, &abLanding, &wikipedia, &taxi, &quakes, &nasa}

// apache: lines of a web server in the combined format, one of them cut off.
var apache = dataset{
	name: "apache_access", stream: "access_log", subject: "logs.access",
	columns: `ip VARCHAR(45) NOT NULL, ts DATETIME NOT NULL, method VARCHAR(16), uri TEXT, status INT, bytes BIGINT,
		referer TEXT, agent TEXT, path TEXT AS (URL_PATH(uri))`,
	options: `format = 'combined', event_time = 'ts'`,
	events: func(t testing.TB) []event {
		return eventsOf("apache", lines(read(t, "apache_access", "access.log.gz")))
	},
	dead: []int{8899},
	views: []viewDef{
		{"per_hour_status", `SELECT TUMBLE(ts, INTERVAL 1 HOUR) AS hour_utc, status, COUNT(*) AS requests, SUM(bytes) AS bytes_sum
			FROM access_log GROUP BY hour_utc, status`, "requests"},
		{"per_path", `SELECT path, COUNT(*) AS hits FROM access_log GROUP BY path`, "hits"},
		{"per_day", `SELECT TUMBLE(ts, INTERVAL 1 DAY) AS day_utc, COUNT(*) AS requests, COUNT(DISTINCT ip) AS ips,
			COUNT(bytes) AS n, APPROX_PERCENTILE(bytes, 0.5) AS p50, APPROX_PERCENTILE(bytes, 0.95) AS p95,
			APPROX_PERCENTILE(bytes, 0.99) AS p99, MAX(bytes) AS max_ FROM access_log GROUP BY day_utc`, "requests"},
		{"totals", `SELECT COUNT(*) AS wellformed, MIN(ts) AS min_ts_utc, MAX(ts) AS max_ts_utc, COUNT(DISTINCT ip) AS ips,
			COUNT(DISTINCT path) AS paths, SUM(bytes) AS bytes_sum, COUNT(bytes) AS bytes_nonnull,
			APPROX_PERCENTILE(bytes, 0.5) AS p50, APPROX_PERCENTILE(bytes, 0.95) AS p95,
			APPROX_PERCENTILE(bytes, 0.99) AS p99, MAX(bytes) AS max_ FROM access_log`, "wellformed"},
		{"errors", `SELECT status, path, COUNT(*) AS n FROM access_log WHERE status >= 400 GROUP BY status, path`, "n"},
		{"split", `SELECT CASE WHEN ts < '2015-05-20 07:00:00' THEN 'batch_2d21h' ELSE 'speed_3h' END AS part, status,
			COUNT(*) AS requests, COUNT(DISTINCT ip) AS ips, SUM(bytes) AS bytes_sum FROM access_log
			WHERE ts >= '2015-05-17 10:00:00' AND ts < '2015-05-20 10:00:00' GROUP BY part, status`, "requests"},
		{"three_days", `SELECT status, COUNT(*) AS requests, COUNT(DISTINCT ip) AS ips, SUM(bytes) AS bytes_sum FROM access_log
			WHERE ts >= '2015-05-17 10:00:00' AND ts < '2015-05-20 10:00:00' GROUP BY status`, "requests"},
		{"flavours", `SELECT URL_PARAM(uri, 'flav') AS flav, COUNT(*) AS n FROM access_log
			WHERE URL_PARAM(uri, 'flav') IS NOT NULL GROUP BY flav`, "n"},
	},
	checks: []check{
		{
			answer: "q01_summary", columns: []string{"wellformed", "min_ts_utc", "max_ts_utc", "ips", "paths", "bytes_sum", "bytes_nonnull"},
			query: `SELECT wellformed, min_ts_utc, max_ts_utc, ips, paths, bytes_sum, bytes_nonnull FROM {totals}`,
		},
		{answer: "q02_per_hour_status", query: `SELECT * FROM {per_hour_status} ORDER BY hour_utc, status`},
		{answer: "q03_top10_paths", query: `SELECT path, hits FROM {per_path} ORDER BY hits DESC, path LIMIT 10`},
		{answer: "q04_distinct_ips_per_day", query: `SELECT day_utc, requests, ips FROM {per_day} ORDER BY day_utc`},
		{
			answer: "q05_bytes_percentiles_per_day", where: "day_utc!=all", approx: []string{"p50", "p95", "p99"},
			query: `SELECT day_utc, n, p50, p95, p99, max_ FROM {per_day} ORDER BY 1`,
		},
		{
			answer: "q05_bytes_percentiles_per_day", where: "day_utc=all", approx: []string{"p50", "p95", "p99"},
			query: `SELECT 'all', bytes_nonnull, p50, p95, p99, max_ FROM {totals}`,
		},
		{answer: "q06_lambda_3day_split", where: "part!=batch+speed", query: `SELECT * FROM {split} ORDER BY part, status`},
		{
			answer: "q06_lambda_3day_split", where: "part=batch+speed",
			query: `SELECT 'batch+speed', status, requests, ips, bytes_sum FROM {three_days} ORDER BY status`,
		},
		{answer: "q08_param_flav", query: `SELECT flav, n FROM {flavours} ORDER BY n DESC, flav`},
		{answer: "q11_errors_top", query: `SELECT status, path, n FROM {errors} ORDER BY n DESC, status, path LIMIT 10`},
	},
}

// abLanding: an A/B test, in random order.
var abLanding = dataset{
	name: "ab_landing", stream: "exposures", subject: "ab.exposures", large: true,
	columns: "ts DATETIME(6) NOT NULL PATH '$.timestamp', user_id BIGINT, grp VARCHAR(16) PATH '$.group', landing_page VARCHAR(16), converted INT",
	options: `event_time = 'ts'`,
	events: func(t testing.TB) []event {
		return eventsOf("ab", csvObjects(t, read(t, "ab_landing", "ab_data.csv.gz"), "user_id", "converted"))
	},
	views: []viewDef{
		{"by_group", `SELECT grp, COUNT(*) AS exposures, SUM(converted) AS conversions, MIN(ts) AS min_ts, MAX(ts) AS max_ts
			FROM exposures GROUP BY grp`, "exposures"},
		{"by_group_page", `SELECT grp, landing_page, COUNT(*) AS n, SUM(converted) AS conversions
			FROM exposures GROUP BY grp, landing_page`, "n"},
		{"per_day_group", `SELECT TUMBLE(ts, INTERVAL 1 DAY) AS day_, grp, COUNT(*) AS exposures, COUNT(DISTINCT user_id) AS users,
			SUM(converted) AS conversions FROM exposures GROUP BY day_, grp`, "exposures"},
		{"per_hour_group", `SELECT TUMBLE(ts, INTERVAL 1 HOUR) AS hour_, grp, COUNT(*) AS exposures, SUM(converted) AS conversions
			FROM exposures WHERE ts >= '2017-01-10 00:00:00' AND ts < '2017-01-13 00:00:00' GROUP BY hour_, grp`, "exposures"},
	},
	checks: []check{
		{
			answer: "q01_summary", columns: []string{"rows_", "min_ts", "max_ts"},
			query: `SELECT SUM(exposures), MIN(min_ts), MAX(max_ts) FROM {by_group}`,
		},
		{answer: "q02_by_group_raw", query: `SELECT grp, exposures, conversions FROM {by_group} ORDER BY grp`},
		{answer: "q04_by_group_page", query: `SELECT * FROM {by_group_page} ORDER BY grp, landing_page`},
		{answer: "q05_per_day_group_raw", query: `SELECT day_, grp, exposures, users, conversions FROM {per_day_group} ORDER BY day_, grp`},
		{answer: "q07_per_hour_3days_raw", query: `SELECT * FROM {per_hour_group} ORDER BY 1, 2`},
		{answer: "q09_cumulative_conversions", query: `SELECT day_, grp, SUM(conversions) OVER (PARTITION BY grp ORDER BY day_),
			SUM(exposures) OVER (PARTITION BY grp ORDER BY day_) FROM {per_day_group} ORDER BY day_, grp`},
	},
}

// wikipedia: JSON with nulls, booleans and the languages of the world.
var wikipedia = dataset{
	name: "wikipedia_edits", stream: "edits", subject: "wiki.edits", large: true,
	columns: "`time` VARCHAR(32), ts DATETIME(3) NOT NULL PATH '$.time', channel VARCHAR(32), countryIsoCode VARCHAR(2), countryName VARCHAR(64)," +
		" isAnonymous BOOLEAN, isMinor BOOLEAN, isNew BOOLEAN, isRobot BOOLEAN, isUnpatrolled BOOLEAN, page TEXT, `user` TEXT," +
		" delta BIGINT, added BIGINT, deleted BIGINT",
	options: `event_time = 'ts'`,
	events: func(t testing.TB) []event {
		return eventsOf("wiki", lines(read(t, "wikipedia_edits", "wikiticker-2015-09-12-sampled.json.gz")))
	},
	views: []viewDef{
		{"per_hour", "SELECT TUMBLE(ts, INTERVAL 1 HOUR) AS hour_utc, COUNT(*) AS edits, SUM(isRobot) AS robot_edits, COUNT(DISTINCT `user`) AS users," +
			" SUM(added) AS added, SUM(deleted) AS deleted FROM edits WHERE ts >= '2015-09-12' AND ts < '2015-09-13' GROUP BY hour_utc", "edits"},
		{"per_channel", "SELECT channel, COUNT(*) AS edits, SUM(added) AS added, SUM(deleted) AS deleted, SUM(delta) AS delta," +
			" COUNT(DISTINCT `user`) AS users FROM edits GROUP BY channel", "edits"},
		{"per_page", `SELECT channel, page, COUNT(*) AS edits FROM edits GROUP BY channel, page`, "edits"},
		{"per_country", `SELECT countryIsoCode, countryName, COUNT(*) AS edits, SUM(added) AS added FROM edits
			GROUP BY countryIsoCode, countryName`, "edits"},
		{"flags", `SELECT isAnonymous AS anon, isMinor AS minor, isNew AS new_, isRobot AS robot, isUnpatrolled AS unpatrolled,
			COUNT(*) AS edits FROM edits GROUP BY anon, minor, new_, robot, unpatrolled`, "edits"},
		{"by_robot", `SELECT isRobot AS robot, COUNT(*) AS n, APPROX_PERCENTILE(added, 0.5) AS p50, APPROX_PERCENTILE(added, 0.95) AS p95,
			APPROX_PERCENTILE(added, 0.99) AS p99, MAX(added) AS max_, MIN(delta) AS min_delta FROM edits GROUP BY robot`, "n"},
		{"per_user", "SELECT `user`, SUM(added) AS added, COUNT(*) AS edits FROM edits GROUP BY `user`", "edits"},
		{"per_minute", `SELECT TUMBLE(ts, INTERVAL 1 MINUTE) AS minute_utc, COUNT(*) AS edits FROM edits GROUP BY minute_utc`, "edits"},
		{"out_of_day", "SELECT _id, `time`, channel, page FROM edits WHERE NOT (ts >= '2015-09-12' AND ts < '2015-09-13')", ""},
	},
	checks: []check{
		{answer: "q02_per_hour", query: `SELECT * FROM {per_hour} ORDER BY hour_utc`},
		{answer: "q03_channel", query: `SELECT * FROM {per_channel} ORDER BY channel`},
		{answer: "q04_top10_pages", query: `SELECT page, SUM(edits) AS edits FROM {per_page} GROUP BY page ORDER BY edits DESC, page LIMIT 10`},
		{answer: "q05_country_nulls", query: `SELECT * FROM {per_country} ORDER BY edits DESC, countryIsoCode LIMIT 15`},
		{answer: "q06_flags", query: `SELECT * FROM {flags} ORDER BY 1, 2, 3, 4, 5`},
		{answer: "q07_added_percentiles", approx: []string{"p50", "p95", "p99"}, query: `SELECT * FROM {by_robot} ORDER BY robot`},
		{answer: "q08_top10_users_by_added", query: "SELECT `user`, added, edits FROM {per_user} ORDER BY added DESC, `user` LIMIT 10"},
		{answer: "q09_out_of_day_rows", query: "SELECT SUBSTRING(_id, 6), `time`, channel, page FROM {out_of_day}" +
			" ORDER BY CAST(SUBSTRING(_id, 6) AS SIGNED)"},
		{answer: "q10_ko_ja_zh_top5", query: `SELECT channel, page, edits FROM (SELECT channel, page, edits,
			ROW_NUMBER() OVER (PARTITION BY channel ORDER BY edits DESC, page) AS place FROM {per_page}
			WHERE channel IN ('#ko.wikipedia', '#ja.wikipedia', '#zh.wikipedia')) AS ranked
			WHERE place <= 5 ORDER BY channel, edits DESC, page`},
		{answer: "q11_per_minute_max", query: `SELECT * FROM {per_minute} ORDER BY edits DESC, minute_utc LIMIT 5`},
	},
}

// taxi: money as decimal strings, which must add up to the cent.
var taxi = dataset{
	name: "nyc_taxi", stream: "trips", subject: "taxi.trips",
	columns: `pickup DATETIME NOT NULL, dropoff DATETIME, passengers INT, distance DECIMAL(10,2), fare DECIMAL(10,2), tip DECIMAL(10,2),
		tolls DECIMAL(10,2), total DECIMAL(10,2), color VARCHAR(16), payment VARCHAR(32), pickup_zone VARCHAR(64), dropoff_zone VARCHAR(64),
		pickup_borough VARCHAR(32), dropoff_borough VARCHAR(32)`,
	options: `event_time = 'pickup'`,
	events: func(t testing.TB) []event {
		return eventsOf("taxi", csvObjects(t, read(t, "nyc_taxi", "taxis.csv.gz"), "passengers"))
	},
	views: []viewDef{
		{"sums", `SELECT COUNT(*) AS rows_, MIN(pickup) AS min_pickup, MAX(pickup) AS max_pickup, MAX(dropoff) AS max_dropoff, SUM(fare) AS fare,
			SUM(tip) AS tip, SUM(tolls) AS tolls, SUM(total) AS total, SUM(distance) AS distance, COUNT(*) - COUNT(payment) AS null_payment
			FROM trips`, "rows_"},
		{"per_day", `SELECT TUMBLE(pickup, INTERVAL 1 DAY) AS day_, COUNT(*) AS trips, SUM(passengers) AS passengers, SUM(total) AS total,
			SUM(tip) AS tip FROM trips GROUP BY day_`, "trips"},
		{"borough_payment", `SELECT pickup_borough, payment, COUNT(*) AS trips, SUM(total) AS total FROM trips
			GROUP BY pickup_borough, payment`, "trips"},
		{"per_color", `SELECT color, COUNT(*) AS n, APPROX_PERCENTILE(total, 0.5) AS total_p50, APPROX_PERCENTILE(total, 0.95) AS total_p95,
			APPROX_PERCENTILE(distance, 0.5) AS distance_p50, APPROX_PERCENTILE(distance, 0.95) AS distance_p95, MAX(total) AS total_max
			FROM trips GROUP BY color`, "n"},
		{"zone_pairs", `SELECT pickup_zone, dropoff_zone, COUNT(*) AS trips FROM trips
			WHERE pickup_zone IS NOT NULL AND dropoff_zone IS NOT NULL GROUP BY pickup_zone, dropoff_zone`, "trips"},
		{"hour_of_day", `SELECT HOUR(pickup) AS hour_, COUNT(*) AS trips, SUM(total) AS total FROM trips GROUP BY hour_`, "trips"},
		{"hourly", `SELECT TUMBLE(pickup, INTERVAL 1 HOUR) AS hour_, COUNT(*) AS trips, SUM(total) AS total FROM trips GROUP BY hour_`, "trips"},
	},
	checks: []check{
		{answer: "q01_summary", query: `SELECT * FROM {sums}`},
		{answer: "q02_per_day", query: `SELECT * FROM {per_day} ORDER BY day_`},
		{answer: "q03_borough_payment", query: `SELECT * FROM {borough_payment} ORDER BY pickup_borough, payment`},
		{
			answer: "q04_color_percentiles", approx: []string{"total_p50", "total_p95", "distance_p50", "distance_p95"},
			query: `SELECT * FROM {per_color} ORDER BY color`,
		},
		{answer: "q05_top10_zone_pairs", query: `SELECT * FROM {zone_pairs} ORDER BY trips DESC, pickup_zone, dropoff_zone LIMIT 10`},
		{answer: "q06_hour_of_day", query: `SELECT * FROM {hour_of_day} ORDER BY hour_`},
		{answer: "q08_hourly_pickups_final", query: `SELECT * FROM {hourly} ORDER BY hour_`},
	},
}

// quakes: GeoJSON as it is served, with nested fields and times in milliseconds.
var quakes = dataset{
	name: "usgs_quakes", stream: "quakes", subject: "usgs.quakes",
	columns: `id VARCHAR(32) NOT NULL, ts DATETIME(3) NOT NULL PATH '$.properties.time', time_ms BIGINT PATH '$.properties.time',
		updated_ms BIGINT PATH '$.properties.updated', mag DECIMAL(6,3) PATH '$.properties.mag', net VARCHAR(8) PATH '$.properties.net',
		type VARCHAR(32) PATH '$.properties.type', status VARCHAR(16) PATH '$.properties.status', place TEXT PATH '$.properties.place',
		felt INT PATH '$.properties.felt'`,
	options: `event_time = 'ts', time_format = 'unix_ms'`,
	events: func(t testing.TB) []event {
		return eventsOf("quake", features(t, read(t, "usgs_quakes", "earthquakes.json.gz")))
	},
	views: []viewDef{
		{"summary", `SELECT COUNT(*) AS rows_, COUNT(DISTINCT id) AS ids, MIN(time_ms) AS min_time_ms, MAX(time_ms) AS max_time_ms,
			MAX(updated_ms) AS max_updated_ms, COUNT(mag) AS mag_nonnull, COUNT(felt) AS felt_nonnull, SUM(felt) AS felt_sum FROM quakes`, "rows_"},
		{"per_day", `SELECT TUMBLE(ts, INTERVAL 1 DAY) AS day_utc, COUNT(*) AS quakes, MAX(mag) AS max_mag, MIN(mag) AS min_mag,
			SUM(mag) AS sum_mag FROM quakes GROUP BY day_utc`, "quakes"},
		{"net_status", `SELECT net, status, COUNT(*) AS n FROM quakes GROUP BY net, status`, "n"},
		{"per_type", `SELECT type, COUNT(*) AS n, MAX(mag) AS max_mag FROM quakes GROUP BY type`, "n"},
		{"per_net", `SELECT net, COUNT(mag) AS n, APPROX_PERCENTILE(mag, 0.5) AS p50, APPROX_PERCENTILE(mag, 0.95) AS p95
			FROM quakes GROUP BY net`, ""},
		{"list", `SELECT id, mag, place FROM quakes`, ""},
		{"per_hour", `SELECT TUMBLE(ts, INTERVAL 1 HOUR) AS hour_utc, COUNT(*) AS quakes FROM quakes GROUP BY hour_utc`, "quakes"},
	},
	checks: []check{
		{answer: "q01_summary", query: `SELECT * FROM {summary}`},
		{answer: "q02_per_day", query: `SELECT * FROM {per_day} ORDER BY day_utc`},
		{answer: "q03_by_net_status", query: `SELECT * FROM {net_status} ORDER BY net, status`},
		{answer: "q04_type", query: `SELECT * FROM {per_type} ORDER BY type`},
		{answer: "q05_mag_percentiles", approx: []string{"p50", "p95"}, query: `SELECT * FROM {per_net} ORDER BY net`},
		{answer: "q06_top10_mag", query: `SELECT id, mag, place FROM {list} ORDER BY mag DESC, id LIMIT 10`},
		{answer: "q08_per_hour", query: `SELECT * FROM {per_hour} ORDER BY 1`},
	},
}

// nasa: lines with tabs, read by a regular expression, with times in seconds.
var nasa = dataset{
	name: "nasa_http_jul", stream: "nasa", subject: "nasa.http",
	columns: `host VARCHAR(255) NOT NULL, ts DATETIME NOT NULL PATH '$.time', epoch BIGINT PATH '$.time', method VARCHAR(8), url TEXT,
		status INT PATH '$.response', bytes BIGINT`,
	options: `format = 'regex', event_time = 'ts', time_format = 'unix',
		pattern = '^(?P<host>[^\t]*)\t[^\t]*\t(?P<time>[0-9]+)\t(?P<method>[^\t]*)\t(?P<url>[^\t]*)\t(?P<response>[0-9]+)\t(?P<bytes>[0-9]+)'`,
	events: func(t testing.TB) []event {
		return eventsOf("nasa", lines(read(t, "nasa_http_jul", "nasa_19950701.tsv.gz"))[1:])
	},
	views: []viewDef{
		{"summary", `SELECT COUNT(*) AS rows_, MIN(epoch) AS min_epoch, MAX(epoch) AS max_epoch, COUNT(DISTINCT host) AS hosts,
			COUNT(DISTINCT url) AS urls, SUM(bytes) AS bytes_sum, COUNT(bytes) AS bytes_nonnull FROM nasa`, "rows_"},
		{"per_hour_status", `SELECT TUMBLE(ts, INTERVAL 1 HOUR) AS hour_utc, status, COUNT(*) AS requests, SUM(bytes) AS bytes_sum
			FROM nasa GROUP BY hour_utc, status`, "requests"},
		{"per_5min", `SELECT TUMBLE(ts, INTERVAL 5 MINUTE) AS win_start_utc, COUNT(*) AS requests, COUNT(DISTINCT host) AS hosts,
			SUM(bytes) AS bytes_sum FROM nasa GROUP BY win_start_utc`, "requests"},
		{"per_url", `SELECT url, COUNT(*) AS hits, SUM(bytes) AS bytes_sum FROM nasa GROUP BY url`, "hits"},
		{"per_host", `SELECT host, COUNT(*) AS hits FROM nasa GROUP BY host`, "hits"},
		{"ok", `SELECT method, COUNT(*) AS n, APPROX_PERCENTILE(bytes, 0.5) AS p50, APPROX_PERCENTILE(bytes, 0.95) AS p95,
			APPROX_PERCENTILE(bytes, 0.99) AS p99, MAX(bytes) AS max_ FROM nasa WHERE status = 200 GROUP BY method`, "n"},
	},
	checks: []check{
		{answer: "q01_summary", query: `SELECT * FROM {summary}`},
		{answer: "q02_per_hour_status", query: `SELECT * FROM {per_hour_status} ORDER BY hour_utc, status`},
		{answer: "q03_per_5min", query: `SELECT * FROM {per_5min} ORDER BY win_start_utc`},
		{answer: "q04_top10_urls", query: `SELECT * FROM {per_url} ORDER BY hits DESC, url LIMIT 10`},
		{answer: "q05_top10_hosts", query: `SELECT * FROM {per_host} ORDER BY hits DESC, host LIMIT 10`},
		{answer: "q06_bytes_percentiles_200", approx: []string{"p50", "p95", "p99"}, query: `SELECT * FROM {ok} ORDER BY method`},
	},
}
