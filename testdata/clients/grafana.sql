SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type IN ('BASE TABLE', 'VIEW') ORDER BY table_name;
SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'analytics' AND table_name = 'requests_by_minute' ORDER BY column_name;
SELECT DISTINCT TABLE_SCHEMA FROM information_schema.TABLES WHERE TABLE_TYPE != 'SYSTEM VIEW' ORDER BY TABLE_SCHEMA;
SELECT UNIX_TIMESTAMP(minute) DIV 300 * 300 AS "time", status AS metric, SUM(requests) AS "value" FROM requests_by_minute WHERE minute BETWEEN FROM_UNIXTIME(1767225600) AND FROM_UNIXTIME(1767312000) GROUP BY 1, 2 ORDER BY 1;
SELECT minute AS 'time', requests FROM requests_by_minute WHERE minute >= FROM_UNIXTIME(0) AND minute < DATE_ADD(NOW(), INTERVAL 1 DAY) ORDER BY minute LIMIT 1000;
SELECT CAST(UNIX_TIMESTAMP(minute) AS SIGNED) AS time_sec, requests AS value FROM requests_by_minute WHERE UNIX_TIMESTAMP(minute) > 0 ORDER BY minute ASC;
