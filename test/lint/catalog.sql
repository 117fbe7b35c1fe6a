-- Breaches of the rules for SQL objects, one a row.

CREATE TEMP VIEW ours AS
SELECT c.oid, c.relname, c.relkind, c.relispartition, c.relacl, n.nspname
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname IN ('integration', 'integration_worker');

CREATE TEMP VIEW our_columns AS
SELECT o.nspname, o.relname, o.relkind, a.attname, a.attrelid, a.attnum
FROM ours AS o
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = o.oid
WHERE o.relkind IN ('r', 'p', 'v') AND NOT o.relispartition AND a.attnum > 0 AND NOT a.attisdropped;

CREATE TEMP VIEW our_functions AS
SELECT p.*, n.nspname, p.oid::regprocedure::text AS called
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname IN ('integration', 'integration_worker');

-- Nothing found at all would mean that this file looks in the wrong place.
SELECT 'the extension has no tables, functions' WHERE NOT EXISTS (SELECT FROM ours) OR NOT EXISTS (SELECT FROM our_functions);

SELECT format('%s.%s has no comment', nspname, relname)
FROM ours
WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND obj_description(oid, 'pg_class') IS NULL
    AND (nspname = 'integration' OR relkind <> 'v') AND (NOT relispartition OR relname ~ '_default$');

SELECT format('%s.%s.%s has no comment', nspname, relname, attname)
FROM our_columns
WHERE nspname = 'integration' AND col_description(attrelid, attnum) IS NULL;

SELECT format('%s has no comment', called)
FROM our_functions
WHERE obj_description(oid, 'pg_proc') IS NULL AND (nspname = 'integration' OR prolang = 13);

SELECT format('type %s.%s has no comment', n.nspname, t.typname)
FROM pg_catalog.pg_type AS t
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid
WHERE n.nspname = 'integration' AND t.typtype IN ('e', 'd', 'c') AND coalesce(c.relkind, 'c') = 'c'
    AND obj_description(t.oid, 'pg_type') IS NULL;

-- The door is called for each insert of the application, so it pins the path itself, where it runs SQL.  A body of the
-- SQL standard is bound when it is made, and can only so be inlined where a view calls it for each row.  In C without
-- SQL there is nothing to find, and a list asks for each of its objects.
SELECT format('%s does not pin search_path to pg_catalog, pg_temp', called)
FROM our_functions
WHERE called NOT IN ('integration_worker.enqueue()', 'integration_worker.refuse_extent()',
    'integration_worker.queued_of(integer,text,text)') AND prosqlbody IS NULL
    AND NOT coalesce(proconfig, '{}') @> ARRAY['search_path=pg_catalog, pg_temp'];

SELECT format('%s may be executed by PUBLIC', called)
FROM our_functions
WHERE EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE grantee = 0);

SELECT format('PUBLIC has %s on %s.%s', a.privilege_type, o.nspname, o.relname)
FROM ours AS o, aclexplode(o.relacl) AS a
WHERE a.grantee = 0;

SELECT format('PUBLIC has %s on schema %s', a.privilege_type, n.nspname)
FROM pg_catalog.pg_namespace AS n, aclexplode(n.nspacl) AS a
WHERE n.nspname IN ('integration', 'integration_worker') AND a.grantee = 0;

-- Each would be one more thing that every insert into the outbox walks over.
SELECT DISTINCT format('view %s reads integration.outbox itself, not by integration_worker.asked', r.ev_class::regclass)
FROM pg_catalog.pg_depend AS d
JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid
WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass
    AND d.refobjid = 'integration.outbox'::regclass
    AND d.refobjsubid > 0
    AND r.ev_class <> 'integration_worker.asked'::regclass;

-- The worker's ranges of outbox, attempt are no members: it drops them again.
SELECT format('%s.%s does not belong to the extension', o.nspname, o.relname)
FROM ours AS o
WHERE o.relkind IN ('r', 'p', 'v') AND (NOT o.relispartition OR o.relname ~ '_default$') AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend AS d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = o.oid AND d.deptype = 'e');

-- One word for one thing: these belong to nobody's vocabulary here.  An event is what the view event has, never a sync.
CREATE TEMP VIEW words AS
SELECT format('%s.%s', nspname, relname) AS place, relname AS word FROM ours WHERE nspname = 'integration' AND relkind IN ('r', 'p', 'v')
UNION ALL
SELECT format('%s.%s.%s', nspname, relname, attname), attname FROM our_columns WHERE nspname = 'integration'
UNION ALL
SELECT called, proname FROM our_functions WHERE nspname = 'integration'
UNION ALL
SELECT called, argument FROM our_functions, unnest(proargnames) AS argument WHERE nspname = 'integration';

SELECT format('%s: the word "%s" is not of our vocabulary', place, part)
FROM words, regexp_split_to_table(word, '_') AS part
WHERE part ~ '^(job|task|message|hook|item|dlq)s?$' AND word <> 'customer_message';

SELECT format('%s: its comment says "%s"', coalesce(c.relname, p.proname), found[1])
FROM pg_catalog.pg_description AS d
LEFT JOIN ours AS c ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid
LEFT JOIN our_functions AS p ON d.classoid = 'pg_proc'::regclass AND d.objoid = p.oid,
    regexp_matches(d.description, '\m((?:job|task|hook|item|DLQ|dead letter)s?)\M', 'g') AS found
WHERE c.oid IS NOT NULL OR p.oid IS NOT NULL;
