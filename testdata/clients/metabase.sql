SELECT @@GLOBAL.time_zone AS global_tz, @@system_time_zone AS system_tz, time_format(timediff(now(), convert_tz(now(), @@GLOBAL.time_zone, '+00:00')), '%H:%i') AS 'offset';
SET @@session.time_zone = '+09:00';
SET @@session.time_zone = 'Asia/Seoul';
SELECT @@session.time_zone;
SET @@session.time_zone = '+00:00';
SHOW GRANTS FOR CURRENT_USER();
SELECT `c`.`column_name` AS `name`, `c`.`ordinal_position` - 1 AS `database-position`, `c`.`table_schema` AS `schema`, UPPER(SUBSTRING_INDEX(`c`.`column_type`, '(', 1)) AS `database-type`, `c`.`extra` = 'auto_increment' AS `auto`, `c`.`column_key` = 'PRI' AS `pk?`, NULLIF(`c`.`column_comment`, '') AS `comment` FROM `information_schema`.`columns` AS `c` WHERE `c`.`table_schema` = 'analytics' ORDER BY `c`.`table_name`, `c`.`ordinal_position`;
-- Metabase:: userID: 1 queryType: MBQL queryHash: 0
SELECT DATE(`requests_by_minute`.`minute`) AS `minute`, SUM(`requests_by_minute`.`requests`) AS `sum` FROM `requests_by_minute` GROUP BY DATE(`requests_by_minute`.`minute`) ORDER BY DATE(`requests_by_minute`.`minute`) ASC;
SELECT STR_TO_DATE(CONCAT(DATE_FORMAT(`minute`, '%Y-%m'), '-01'), '%Y-%m-%d') AS m, COUNT(*) AS `count` FROM `requests_by_minute` GROUP BY STR_TO_DATE(CONCAT(DATE_FORMAT(`minute`, '%Y-%m'), '-01'), '%Y-%m-%d') ORDER BY 1;
SELECT STR_TO_DATE(CONCAT(YEAR(`minute`), '-', ((QUARTER(`minute`) * 3) - 2), '-01'), '%Y-%m-%d') AS q, COUNT(*) AS n FROM requests_by_minute GROUP BY 1;
SELECT MAKEDATE(YEAR(`minute`), 1) AS y, AVG(requests) AS `avg`, STDDEV_POP(requests) AS `stddev` FROM requests_by_minute GROUP BY MAKEDATE(YEAR(`minute`), 1);
SELECT DATE_ADD(DATE(`minute`), INTERVAL (1 - DAYOFWEEK(`minute`)) DAY) AS w, COUNT(*) AS n FROM requests_by_minute GROUP BY 1 ORDER BY 1;
SELECT HOUR(`minute`) AS h, COUNT(DISTINCT status) AS n FROM requests_by_minute WHERE `minute` >= CONVERT_TZ('2020-01-01 00:00:00', '+00:00', @@session.time_zone) GROUP BY 1;
SELECT `source`.`status`, `source`.`n` FROM (SELECT `status`, COUNT(*) AS `n` FROM `requests_by_minute` GROUP BY `status`) AS `source` WHERE `source`.`n` > 0 LIMIT 1048575;
SELECT TRUE AS `_` FROM `analytics`.`requests_by_minute` WHERE 1 <> 1 LIMIT 0;
SELECT SUBSTRING(`path`, 1, 1234) AS `substring1` FROM `access_log` LIMIT 10000;
