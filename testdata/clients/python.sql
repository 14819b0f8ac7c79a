SET AUTOCOMMIT = 0;
SELECT VERSION();
SELECT @@lower_case_table_names;
show variables like 'sql_mode';
show collation where `Charset` = 'utf8mb4' and `Collation` = 'utf8mb4_bin';
SELECT CAST('test plain returns' AS CHAR(60)) AS anon_1;
SELECT CAST('test collated returns' AS CHAR CHARACTER SET utf8mb4) COLLATE utf8mb4_bin AS anon_1;
SELECT 'x' AS `some_label`;
SHOW schemas;
SHOW FULL TABLES FROM `analytics`;
DESCRIBE `analytics`.`requests_by_minute`;
SHOW CREATE TABLE `requests_by_minute`;
SELECT requests_by_minute.status, count(*) AS n FROM requests_by_minute GROUP BY requests_by_minute.status ORDER BY n DESC LIMIT 3;
SAVEPOINT sa_savepoint_1;
ROLLBACK TO SAVEPOINT sa_savepoint_1;
RELEASE SAVEPOINT sa_savepoint_1;
SELECT @@transaction_isolation;
SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE;
COMMIT;
ROLLBACK;
-- error 1146
SELECT * FROM nosuch;
-- error 1064
SELEC 1;
