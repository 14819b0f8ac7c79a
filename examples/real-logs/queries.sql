-- Questions that somebody who runs a site asks. Each ends with a semicolon.

-- day by day: how many came, and how much went out?
SELECT DATE(day) AS day, requests, visitors, ROUND(bytes / 1e6) AS mb,
       ROUND(typical_bytes) AS typical_bytes, ROUND(large_bytes) AS large_bytes
FROM visitors_by_day
ORDER BY day DESC
LIMIT 14;

-- the last hours: is all well?
SELECT hour, SUM(requests) AS requests,
       SUM(CASE WHEN status < 300 THEN requests ELSE 0 END) AS ok,
       SUM(CASE WHEN status BETWEEN 300 AND 399 THEN requests ELSE 0 END) AS redirects,
       SUM(CASE WHEN status BETWEEN 400 AND 499 THEN requests ELSE 0 END) AS client_errors,
       SUM(CASE WHEN status >= 500 THEN requests ELSE 0 END) AS server_errors
FROM status_by_hour
GROUP BY hour
ORDER BY hour DESC
LIMIT 12;

-- the busiest minutes
SELECT minute, requests, visitors, bytes
FROM traffic_by_minute
ORDER BY requests DESC, minute
LIMIT 5;

-- the most asked for
SELECT path, SUM(requests) AS requests, SUM(bot_requests) AS by_bots
FROM pages_by_day
GROUP BY path
ORDER BY requests DESC, path
LIMIT 10;

-- what people read on the last day: no bots, no pictures, no styles
SELECT path, requests - bot_requests AS requests, visitors
FROM pages_by_day
WHERE day = (SELECT MAX(day) FROM visitors_by_day)
  AND NOT path REGEXP '[.](css|js|png|jpe?g|gif|ico|svg|woff2?|txt)$'
ORDER BY requests - bot_requests DESC, path
LIMIT 10;

-- what fills the line
SELECT path, SUM(bytes) AS bytes, SUM(requests) AS requests, MAX(largest_bytes) AS largest_bytes
FROM pages_by_day
GROUP BY path
ORDER BY bytes DESC, path
LIMIT 10;

-- where visitors come from
SELECT site, SUM(requests) AS requests
FROM referrers_by_day
GROUP BY site
ORDER BY requests DESC, site
LIMIT 10;

-- the share of bots
SELECT kind, SUM(requests) AS requests,
       ROUND(100 * SUM(requests) / (SELECT SUM(requests) FROM visitors_by_day), 1) AS percent
FROM agents_by_day
GROUP BY kind
ORDER BY requests DESC;

-- the busiest bots
SELECT agent, SUM(requests) AS requests
FROM agents_by_day
WHERE kind = 'bot'
GROUP BY agent
ORDER BY requests DESC, agent
LIMIT 5;

-- broken links
SELECT path, SUM(requests) AS requests, MAX(last_seen) AS last_seen
FROM broken_links
GROUP BY path
ORDER BY requests DESC, path
LIMIT 10;

-- broken links that other pages have, to mend
SELECT path, referer, requests
FROM broken_links
WHERE referer IS NOT NULL
ORDER BY requests DESC, path, referer
LIMIT 10;

-- who asks the most
SELECT ip, SUM(requests) AS requests, SUM(errors) AS errors, SUM(bytes) AS bytes, MIN(first_seen) AS first_seen, MAX(last_seen) AS last_seen
FROM clients_by_day
GROUP BY ip
ORDER BY requests DESC, ip
LIMIT 10;

-- who looks for what is not there
SELECT ip, SUM(errors) AS errors, SUM(requests) AS requests
FROM clients_by_day
GROUP BY ip
HAVING SUM(errors) >= 5
ORDER BY errors DESC, ip
LIMIT 10;

-- lines that are no request
SELECT seq, error, payload
FROM weir.dead_letters
WHERE stream = 'access_log'
ORDER BY seq
LIMIT 5;
