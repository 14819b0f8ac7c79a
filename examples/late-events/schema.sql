-- The orders of a shop with many tills. A till without a connection keeps its
-- orders and sends them when it has one again, so some come late.

CREATE STREAM orders (
  at    DATETIME(6) NOT NULL,
  cents INT         NOT NULL
) WITH (event_time = 'at');

-- How much does the shop sell, hour by hour? The batch runs are those that the
-- example asks for with REFRESH MATERIALIZED VIEW.
CREATE MATERIALIZED VIEW orders_by_hour
WITH (mode = 'lambda', batch_interval = '1d') AS
SELECT TUMBLE(at, INTERVAL 1 HOUR) AS hour,
       COUNT(*)                    AS orders,
       SUM(cents)                  AS cents
FROM orders
GROUP BY hour;
