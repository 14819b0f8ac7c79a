-- The access log of a shop. Each event is one request, as its web server logs it:
--
--   GET 203.0.113.7 /purchase/117/list?itembox=1&minprice=20&since=20220830-123542 HTTP/1.1

CREATE STREAM IF NOT EXISTS access_log (
  method   VARCHAR(8)   NOT NULL,
  ip       VARCHAR(45)  NOT NULL,
  target   TEXT         NOT NULL,
  path     VARCHAR(255) AS (URL_PATH(target)),
  item     VARCHAR(32)  AS (SUBSTRING_INDEX(SUBSTRING_INDEX(URL_PATH(target), '/', 3), '/', -1)),
  minprice INT          AS (URL_PARAM(target, 'minprice')),
  since    DATETIME     AS (CAST(REPLACE(URL_PARAM(target, 'since'), '-', '') AS DATETIME))
) WITH (
  format  = 'regex',
  pattern = '^(?P<method>[A-Z]+) (?P<ip>[^ ]+) (?P<target>[^ ]+) HTTP/[0-9.]+$'
);

-- How busy is the shop, minute by minute? The event time is the time at which
-- the log received the event, since the line has none of its own.
--
-- Every three seconds is far too often for a batch run, except to watch it.
CREATE MATERIALIZED VIEW IF NOT EXISTS requests_by_minute
WITH (mode = 'lambda', batch_interval = '3s') AS
SELECT TUMBLE(_time, INTERVAL 1 MINUTE) AS minute,
       COUNT(*)                         AS requests,
       APPROX_COUNT_DISTINCT(ip)        AS visitors,
       AVG(minprice)                    AS avg_minprice
FROM access_log
GROUP BY minute;

-- Which items do people look at, and from which price on?
CREATE MATERIALIZED VIEW IF NOT EXISTS purchases_by_item
WITH (mode = 'lambda', batch_interval = '3s') AS
SELECT item,
       COUNT(*)                  AS requests,
       APPROX_COUNT_DISTINCT(ip) AS visitors,
       AVG(minprice)             AS avg_minprice,
       MAX(since)                AS latest_since
FROM access_log
WHERE path LIKE '/purchase/%'
GROUP BY item;
