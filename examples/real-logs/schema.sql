-- Any site's access log, in the combined format that Apache and nginx write:
--
--   203.0.113.7 - - [17/May/2026:10:05:03 +0000] "GET /blog/?page=2 HTTP/1.1" 200 12292 "https://example.org/" "Mozilla/5.0 …"

CREATE STREAM IF NOT EXISTS access_log (
  ts       DATETIME     NOT NULL,
  ip       VARCHAR(255) NOT NULL,
  `user`   VARCHAR(255),
  method   VARCHAR(16),
  target   TEXT,
  protocol VARCHAR(16),
  status   SMALLINT     NOT NULL,
  bytes    BIGINT,
  referer  TEXT,
  agent    TEXT,
  path     TEXT         AS (URL_PATH(target)),
  -- The site that links here, without scheme, port and path.
  site     TEXT         AS (LOWER(SUBSTRING_INDEX(SUBSTRING_INDEX(SUBSTRING_INDEX(referer, '://', -1), '/', 1), ':', 1))),
  -- Who asks, by what it says of itself.
  kind     VARCHAR(8)   AS (CASE WHEN agent IS NULL THEN 'unnamed'
                                 WHEN LOWER(agent) LIKE '%bot%' OR LOWER(agent) LIKE '%crawl%' OR LOWER(agent) LIKE '%spider%'
                                   OR LOWER(agent) LIKE '%slurp%' THEN 'bot'
                                 WHEN LOWER(agent) LIKE '%feed%' OR LOWER(agent) LIKE '%rss%' THEN 'feed'
                                 WHEN agent LIKE 'Mozilla/%' OR agent LIKE 'Opera/%' THEN 'browser'
                                 ELSE 'program' END)
) COMMENT 'access log of a web site'
WITH (format = 'combined', event_time = 'ts');

-- How busy is the site, and is it well?
CREATE MATERIALIZED VIEW IF NOT EXISTS traffic_by_minute AS
SELECT TUMBLE(ts, INTERVAL 1 MINUTE) AS minute,
       COUNT(*)                      AS requests,
       SUM(bytes)                    AS bytes,
       SUM(status BETWEEN 400 AND 499) AS client_errors,
       SUM(status >= 500)            AS server_errors,
       APPROX_COUNT_DISTINCT(ip)     AS visitors
FROM access_log
GROUP BY minute;

CREATE MATERIALIZED VIEW IF NOT EXISTS status_by_hour AS
SELECT TUMBLE(ts, INTERVAL 1 HOUR) AS hour,
       status,
       COUNT(*)                    AS requests,
       SUM(bytes)                  AS bytes
FROM access_log
GROUP BY hour, status;

-- How many came? An address is not a person, but as near as a log gets.
CREATE MATERIALIZED VIEW IF NOT EXISTS visitors_by_day AS
SELECT TUMBLE(ts, INTERVAL 1 DAY)      AS day,
       COUNT(*)                        AS requests,
       APPROX_COUNT_DISTINCT(ip)       AS visitors,
       SUM(bytes)                      AS bytes,
       APPROX_PERCENTILE(bytes, 0.5)   AS typical_bytes,
       APPROX_PERCENTILE(bytes, 0.99)  AS large_bytes,
       MAX(bytes)                      AS largest_bytes
FROM access_log
GROUP BY day;

-- What do they read? Bots are counted apart.
CREATE MATERIALIZED VIEW IF NOT EXISTS pages_by_day AS
SELECT TUMBLE(ts, INTERVAL 1 DAY) AS day,
       path,
       COUNT(*)                   AS requests,
       SUM(kind = 'bot')          AS bot_requests,
       APPROX_COUNT_DISTINCT(ip)  AS visitors,
       SUM(bytes)                 AS bytes,
       MAX(bytes)                 AS largest_bytes
FROM access_log
GROUP BY day, path;

-- Where do they come from?
CREATE MATERIALIZED VIEW IF NOT EXISTS referrers_by_day AS
SELECT TUMBLE(ts, INTERVAL 1 DAY) AS day,
       site,
       COUNT(*)                   AS requests,
       APPROX_COUNT_DISTINCT(ip)  AS visitors
FROM access_log
WHERE referer IS NOT NULL
GROUP BY day, site;

-- Who are they: browsers, bots, feed readers, programs?
CREATE MATERIALIZED VIEW IF NOT EXISTS agents_by_day AS
SELECT TUMBLE(ts, INTERVAL 1 DAY) AS day,
       kind,
       agent,
       COUNT(*)                   AS requests,
       SUM(bytes)                 AS bytes
FROM access_log
GROUP BY day, kind, agent;

-- Which links are broken, and who has them?
CREATE MATERIALIZED VIEW IF NOT EXISTS broken_links AS
SELECT path,
       referer,
       COUNT(*) AS requests,
       MAX(ts)  AS last_seen
FROM access_log
WHERE status IN (404, 410)
GROUP BY path, referer;

-- What does each address do?
CREATE MATERIALIZED VIEW IF NOT EXISTS clients_by_day AS
SELECT TUMBLE(ts, INTERVAL 1 DAY)  AS day,
       ip,
       COUNT(*)                    AS requests,
       SUM(status >= 400)          AS errors,
       SUM(bytes)                  AS bytes,
       APPROX_COUNT_DISTINCT(path) AS paths,
       MIN(ts)                     AS first_seen,
       MAX(ts)                     AS last_seen
FROM access_log
GROUP BY day, ip;
