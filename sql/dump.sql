-- What a dump of the database carries: the only part that says so.

-- Shipped rows come with CREATE EXTENSION; what the user made or changed takes their place when it is restored.
SELECT pg_extension_config_dump('integration.error_class', 'WHERE NOT shipped');
SELECT pg_extension_config_dump('integration.error_reason', 'WHERE NOT shipped');
SELECT pg_extension_config_dump('integration.retry_policy', 'WHERE NOT shipped');
SELECT pg_extension_config_dump('integration.phrase', 'WHERE NOT shipped');
SELECT pg_extension_config_dump('integration.remedy', 'WHERE NOT shipped');
SELECT pg_extension_config_dump('integration.runbook_step', 'WHERE NOT shipped');
SELECT pg_extension_config_dump('integration.version_header', 'WHERE NOT shipped');

SELECT pg_extension_config_dump('integration.error_rule', '');
SELECT pg_extension_config_dump('integration.error_rule_id_seq', '');
SELECT pg_extension_config_dump('integration.credential', '');
-- Sealed: of use only beside the key file, which no dump holds.
SELECT pg_extension_config_dump('integration.secret', '');
SELECT pg_extension_config_dump('integration.connector', '');
SELECT pg_extension_config_dump('integration.endpoint', '');
SELECT pg_extension_config_dump('integration.endpoint_id_seq', '');
SELECT pg_extension_config_dump('integration.customer', '');
SELECT pg_extension_config_dump('integration.owner_rule', '');
SELECT pg_extension_config_dump('integration.owner_rule_id_seq', '');
SELECT pg_extension_config_dump('integration.enqueue_limit', '');

-- By the names that its roles have then, which must exist where it is restored; what a dropped role left is a mere number.
SELECT pg_extension_config_dump('integration.customer_grant', 'WHERE role::oid IN (SELECT r.oid FROM pg_catalog.pg_roles r)');

-- Of the partitioned tables the defaults; the ranges are no members of the extension, so they are dumped as any table.
SELECT pg_extension_config_dump('integration.outbox_default', '');
SELECT pg_extension_config_dump('integration.outbox_id_seq', '');
SELECT pg_extension_config_dump('integration.attempt_default', '');
SELECT pg_extension_config_dump('integration.queue', '');
SELECT pg_extension_config_dump('integration.closing', '');
-- An application that asks once more after the restore is still answered by the first sync.
SELECT pg_extension_config_dump('integration.dedup', '');
SELECT pg_extension_config_dump('integration.sync_status', '');
SELECT pg_extension_config_dump('integration.sync_count', '');
SELECT pg_extension_config_dump('integration_worker.uncounted', '');
SELECT pg_extension_config_dump('integration_worker.count_progress', '');
SELECT pg_extension_config_dump('integration.endpoint_health', '');
-- What the worker says about a copy holds for that copy alone; another one is told anew.
SELECT pg_extension_config_dump('integration.incident', 'WHERE id <> 0');
SELECT pg_extension_config_dump('integration.incident_id_seq', '');
SELECT pg_extension_config_dump('integration.notice_endpoint', '');
SELECT pg_extension_config_dump('integration.notice_text', 'WHERE NOT shipped');
SELECT pg_extension_config_dump('integration.escalation_level', 'WHERE NOT shipped');
SELECT pg_extension_config_dump('integration.heartbeat', '');
SELECT pg_extension_config_dump('integration.notice', '');
SELECT pg_extension_config_dump('integration.notice_id_seq', '');
SELECT pg_extension_config_dump('integration.pause', $$WHERE (scope, name) <> ('all', 'copied_database')$$);
SELECT pg_extension_config_dump('integration.telemetry', '');
SELECT pg_extension_config_dump('integration.action', '');
SELECT pg_extension_config_dump('integration.action_id_seq', '');

-- The name is half of every Idempotency-Key, so what was sent before the dump is known by it after the restore:
-- the restored name takes the place of the one that CREATE EXTENSION just made (one_installation()),
-- and sends nothing until somebody takes over.
SELECT pg_extension_config_dump('integration.installation', '');
