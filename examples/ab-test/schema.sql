-- The access log of a shop that tries two ways to list what somebody has bought,
-- itembox 1 and itembox 2: an A/B test. Each event is one request, with the time
-- at which the web server took it in front:
--
--   2022-08-30T12:35:42.123Z GET 203.0.113.7 /purchase/117/list?itembox=1&minprice=20&since=20220823-123542 HTTP/1.1
--
-- 117 is the visitor. A purchase is a POST to /purchase/117/order.

CREATE STREAM IF NOT EXISTS access_log (
  ts       DATETIME(3) NOT NULL,
  method   VARCHAR(8)  NOT NULL,
  ip       VARCHAR(45) NOT NULL,
  target   TEXT        NOT NULL,
  visitor  INT         NOT NULL,
  variant  CHAR(1)     AS (CASE URL_PARAM(target, 'itembox') WHEN '1' THEN 'A' WHEN '2' THEN 'B' END),
  buyer    INT         AS (IF(method = 'POST', visitor, NULL)),
  minprice INT         AS (URL_PARAM(target, 'minprice')),
  since    DATETIME    AS (CAST(REPLACE(URL_PARAM(target, 'since'), '-', '') AS DATETIME))
) WITH (
  format     = 'regex',
  pattern    = '^(?P<ts>[^ ]+) (?P<method>[A-Z]+) (?P<ip>[^ ]+) (?P<target>/purchase/(?P<visitor>[0-9]+)/[^ ]*) HTTP/[0-9.]+$',
  event_time = 'ts'
);

-- Which variant makes more visitors buy? A conversion is a visitor who has
-- bought, however often.
CREATE MATERIALIZED VIEW IF NOT EXISTS ab_test
WITH (mode = 'lambda', batch_interval = '3h', speed_retention = '1d') AS
SELECT variant,
       COUNT(*)                AS requests,
       COUNT(DISTINCT visitor) AS visitors,
       COUNT(DISTINCT buyer)   AS conversions
FROM access_log
GROUP BY variant;

-- The same, hour by hour.
CREATE MATERIALIZED VIEW IF NOT EXISTS ab_test_by_hour
WITH (mode = 'lambda', batch_interval = '3h', speed_retention = '1d') AS
SELECT TUMBLE(ts, INTERVAL 1 HOUR) AS hour, variant,
       COUNT(*)                    AS requests,
       COUNT(DISTINCT visitor)     AS visitors,
       COUNT(DISTINCT buyer)       AS conversions
FROM access_log
GROUP BY hour, variant;
