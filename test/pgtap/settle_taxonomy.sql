-- Every row of the taxonomy lands in the state its columns promise.
BEGIN;
\ir ../lib/settle.sql

CREATE TEMPORARY TABLE tried ON COMMIT DROP AS
SELECT r.*, i.idempotent,
       r.reason || CASE WHEN i.idempotent THEN '' ELSE ' !' END AS endpoint,
       CASE WHEN r.reason IN ('http:403:limited', 'http:413:retry_after', 'http:503:retry_after') THEN 30 END AS retry_after,
       CASE WHEN r.code ~ '^\d+$' AND r.kind IN ('http', 'http_unofficial') THEN r.code::integer END AS status
  FROM integration.error_reason r, (VALUES (true), (false)) AS i (idempotent);

-- What the columns say, put together here once more and not by the functions under test.
CREATE TEMPORARY VIEW promise AS
SELECT t.reason, t.idempotent, t.endpoint,
       CASE WHEN t.error_class = 'success' AND t.remote_state = 'done' THEN 'delivered'
            WHEN t.error_class = 'cancelled' THEN 'cancelled'
            WHEN t.reason = 'expired' THEN 'expired'
            WHEN d.again THEN 'retrying'
            ELSE 'failed' END AS state,
       CASE WHEN NOT d.again OR d.free THEN 0 ELSE 1 END AS charged,
       CASE WHEN NOT d.again THEN NULL
            WHEN t.breaker = 'trip' THEN 0
            WHEN t.retry_after IS NOT NULL THEN t.retry_after
            WHEN t.retry_hint = 'slow' THEN 600
            ELSE 6 END AS wait_s,
       CASE WHEN t.breaker = 'trip' THEN 'stopped' ELSE 'closed' END AS health,
       t.breaker = 'trip' OR (NOT d.again AND NOT d.over) AS alarms,
       CASE WHEN d.limited THEN coalesce(t.retry_after, CASE t.retry_hint WHEN 'slow' THEN 600 ELSE 6 END) END AS pause_s,
       CASE WHEN t.error_class = 'success' AND t.remote_state = 'done' THEN 'good'
            WHEN t.concurrency = 'decrease' THEN 'decrease' ELSE 'neutral' END AS signal
  FROM tried t
 CROSS JOIN LATERAL (
       SELECT (t.error_class = 'success' AND t.remote_state = 'done')
              OR t.error_class = 'cancelled' OR t.reason = 'expired' AS over,
              t.error_class = 'rate_limited' OR (t.retry_hint = 'retry_after' AND t.retry_after IS NOT NULL) AS limited,
              t.remote_state IN ('unknown', 'done') AS risky) o
 CROSS JOIN LATERAL (
       SELECT o.over, o.limited,
              t.breaker = 'trip' OR t.scope = 'worker' OR t.retryable = 'n/a' OR o.limited AS free,
              NOT o.over
              AND CASE WHEN t.breaker = 'trip' OR t.retryable = 'n/a' THEN t.idempotent OR NOT o.risky
                       WHEN t.retryable = 'if_idempotent' THEN t.idempotent
                       ELSE t.retryable IN ('yes', 'once') END AS again) d;

SELECT plan(11 + 2 * 2 * 285);

SELECT is((SELECT count(*) FROM integration.error_reason), 285::bigint, 'all rows of the taxonomy are there');
SELECT is((SELECT count(*) FROM integration.error_class k WHERE NOT k.is_watched), 36::bigint, 'all error classes are there');
SELECT is_empty($$SELECT c.name FROM integration.error_class c
                   WHERE c.name <> 'copied_database' AND NOT c.is_watched
                     AND NOT EXISTS (SELECT FROM integration.error_reason r WHERE r.error_class = c.name)$$,
                'each class has reasons, but the one of a whole database, those of watchdogs');
SELECT is_empty($$SELECT r.reason FROM integration.error_reason r
                   WHERE r.retryable IN ('yes', 'once') AND r.remote_state IN ('unknown', 'done')$$,
                'nothing that may have been done is repeated unasked');
SELECT set_eq($$SELECT DISTINCT state FROM promise$$,
              ARRAY['delivered', 'retrying', 'failed', 'cancelled', 'expired'], 'the promises cover all states');
SELECT cmp_ok((SELECT count(*) FROM promise p WHERE p.state = 'failed' AND p.idempotent), '<',
              (SELECT count(*) FROM promise p WHERE p.state = 'failed' AND NOT p.idempotent),
              'idempotent endpoints fail less');

INSERT INTO integration.endpoint (name, url, idempotent)
SELECT t.endpoint, 'https://api.example.com/', t.idempotent FROM tried t;
INSERT INTO integration.outbox (endpoint, object_type, object_id, payload)
SELECT t.endpoint, 'order', 'PO-1', '{}' FROM tried t;

CREATE TEMPORARY TABLE brought ON COMMIT DROP AS
SELECT o.id, e.id AS endpoint_id, q.change_xid, t.reason, t.status, t.retry_after, t.endpoint,
       row_number() OVER (ORDER BY o.id) AS n
  FROM tried t
  JOIN integration.outbox o ON o.endpoint = t.endpoint
  JOIN integration.endpoint e ON e.name = t.endpoint
  JOIN integration.queue q ON q.outbox_id = o.id;

CREATE TEMPORARY TABLE verdict ON COMMIT DROP AS
SELECT s.*
  FROM pg_temp.settle(ARRAY(SELECT pg_temp.result(b.id, b.reason, jsonb_build_object(
                                       'http_status', b.status, 'retry_after_s', b.retry_after))
                              FROM brought b ORDER BY b.n)) s;

-- The returned row, the queue or closing, the attempt: they say the same.
SELECT is(format('%s, signal %s, attempt %s %s %s, charged %s, wait %s',
                 v.state, v.signal, a.outcome, a.reason, coalesce(a.error_class, '-'),
                 coalesce(q.charged, 0), coalesce(extract(epoch FROM v.due_at - now())::integer::text, '-')),
          format('%s, signal %s, attempt %s %s %s, charged %s, wait %s',
                 p.state, p.signal, CASE p.state WHEN 'delivered' THEN 'delivered' ELSE 'failed' END, p.reason,
                 CASE WHEN p.state = 'delivered' THEN '-' ELSE r.error_class END,
                 p.charged, coalesce(p.wait_s::text, '-')),
          p.endpoint || ': what becomes of the sync')
  FROM promise p
  JOIN integration.error_reason r ON r.reason = p.reason
  JOIN brought b ON b.endpoint = p.endpoint
  LEFT JOIN verdict v ON v.outbox_id = b.id
  LEFT JOIN integration.attempt a ON a.outbox_id = b.id AND a.attempt_no = 1
  LEFT JOIN integration.queue q ON q.outbox_id = b.id
 ORDER BY p.endpoint;

SELECT is(format('queue %s, closing %s, object %s, endpoint %s, paused %s, incident %s',
                 coalesce(q.state, '-'), coalesce(c.state, '-'), coalesce(s.state, '-'), h.state,
                 coalesce(extract(epoch FROM h.retry_after_until - now())::integer::text, '-'), coalesce(i.error_class, '-')),
          format('queue %s, closing %s, object %s, endpoint %s, paused %s, incident %s',
                 CASE WHEN p.state IN ('retrying', 'failed') THEN p.state ELSE '-' END,
                 CASE WHEN p.state IN ('cancelled', 'expired') THEN p.state ELSE '-' END,
                 CASE p.state WHEN 'delivered' THEN 'in_sync' WHEN 'retrying' THEN 'failing' WHEN 'failed' THEN 'failed'
                              ELSE '-' END,
                 p.health, coalesce(p.pause_s::text, '-'), CASE WHEN p.alarms THEN r.error_class ELSE '-' END),
          p.endpoint || ': what is written')
  FROM promise p
  JOIN integration.error_reason r ON r.reason = p.reason
  JOIN brought b ON b.endpoint = p.endpoint
  LEFT JOIN integration.queue q ON q.outbox_id = b.id
  LEFT JOIN integration.closing c ON c.outbox_id = b.id
  LEFT JOIN integration.sync_status s ON s.endpoint_id = b.endpoint_id
  LEFT JOIN integration.endpoint_health h ON h.endpoint_id = b.endpoint_id
  LEFT JOIN integration.incident i ON i.endpoint = b.endpoint
 ORDER BY p.endpoint;

SELECT is((SELECT count(*) FROM integration.attempt a JOIN brought b ON b.id = a.outbox_id), 2 * 285::bigint,
          'one attempt each');
SELECT is_empty($$SELECT a.reason FROM integration.attempt a JOIN brought b ON b.id = a.outbox_id
                   WHERE a.outcome = 'failed' AND a.error IS NULL$$, 'each failure has a text');
SELECT is_empty($$SELECT a.reason FROM integration.attempt a JOIN brought b ON b.id = a.outbox_id
                    JOIN promise p ON p.endpoint = b.endpoint JOIN integration.error_reason r ON r.reason = p.reason
                   WHERE (a.error LIKE '%look it up in the other system%')
                         <> (NOT p.idempotent AND p.state = 'failed' AND r.remote_state = 'unknown')$$,
                'an unknown outcome says that it must be looked up');
SELECT is((SELECT count(DISTINCT i.id) FROM integration.incident i JOIN brought b ON b.endpoint = i.endpoint),
          (SELECT count(*) FROM promise p WHERE p.alarms), 'no incident too many');
SELECT is(current_setting('synchronous_commit'), 'local', 'what people act on is committed at once');

SELECT * FROM finish();
ROLLBACK;
