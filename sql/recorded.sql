-- Which tables are on record: all that anybody is granted to write, so that a new one is from its first day.

DO $$
DECLARE
    written record;
BEGIN
    FOR written IN
        SELECT c.oid::regclass AS name,
               ARRAY(SELECT a.attname FROM pg_catalog.pg_attribute a
                      WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey)) AS key,
               -- Values that support, who may read the record, may not read in the table.
               CASE c.relname WHEN 'secret' THEN '{sealed}'
                              WHEN 'credential' THEN '{settings}'
                              WHEN 'notice_endpoint' THEN '{routing_key}'
                              ELSE '{}' END AS hidden
          FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
         WHERE c.relnamespace = 'integration'::regnamespace
           AND c.relkind = 'r'
           AND (c.relname IN ('secret', 'customer_grant')
                OR c.oid IN (SELECT to_regclass(p.object)
                               FROM integration_worker.privileges() p
                              WHERE p.level <> 'producer' AND p.privilege ~ 'INSERT|UPDATE|DELETE'))
    LOOP
        EXECUTE format('CREATE TRIGGER record_change AFTER INSERT OR UPDATE OR DELETE ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION integration_worker.record_change(%L, %L)',
                       written.name, written.key, written.hidden);
    END LOOP;
END
$$;
