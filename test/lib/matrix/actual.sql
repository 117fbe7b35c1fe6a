-- What each level of people may do with each object, as the server says it: the view pg_temp.actual.
--
-- Levels are the rows of pg_temp.person (level, role).  Letters are those of \dp: r SELECT, a INSERT, w UPDATE, d DELETE,
-- D TRUNCATE, x REFERENCES, t TRIGGER, m MAINTAIN, U USAGE, C CREATE, X EXECUTE; in parentheses the columns, or those left out (-).

CREATE TEMP TABLE verb (kind "char", letter text, privilege text, by_column boolean);
INSERT INTO verb VALUES
    ('t', 'r', 'SELECT', true), ('t', 'a', 'INSERT', true), ('t', 'w', 'UPDATE', true), ('t', 'd', 'DELETE', false),
    ('t', 'D', 'TRUNCATE', false), ('t', 'x', 'REFERENCES', true), ('t', 't', 'TRIGGER', false),
    ('s', 'r', 'SELECT', false), ('s', 'w', 'UPDATE', false), ('s', 'U', 'USAGE', false),
    ('n', 'U', 'USAGE', false), ('n', 'C', 'CREATE', false), ('f', 'X', 'EXECUTE', false), ('y', 'U', 'USAGE', false);
INSERT INTO verb SELECT 't', 'm', 'MAINTAIN', false WHERE current_setting('server_version_num')::integer >= 170000;

-- Ranges of outbox and attempt come and go; nothing is ever granted on them.
CREATE TEMP VIEW object AS
SELECT 'n'::"char" AS kind, n.oid, n.oid AS schema, 'schema ' || n.nspname AS name
  FROM pg_catalog.pg_namespace n
UNION ALL
SELECT CASE c.relkind WHEN 'S' THEN 's' ELSE 't' END::"char", c.oid, c.relnamespace, c.oid::regclass::text
  FROM pg_catalog.pg_class c
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
UNION ALL
SELECT 'f', p.oid, p.pronamespace, p.oid::regprocedure::text
  FROM pg_catalog.pg_proc p
UNION ALL
SELECT 'y', t.oid, t.typnamespace, 'type ' || t.oid::regtype
  FROM pg_catalog.pg_type t
  LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
 WHERE t.typtype IN ('c', 'd', 'e', 'r') AND coalesce(c.relkind, 'c') = 'c';

CREATE FUNCTION pg_temp.held(kind "char", oid oid, role name, privilege text) RETURNS boolean
    LANGUAGE sql
AS $$
    SELECT CASE kind WHEN 't' THEN has_table_privilege(role, oid, privilege)
                     WHEN 's' THEN has_sequence_privilege(role, oid, privilege)
                     WHEN 'n' THEN has_schema_privilege(role, oid, privilege)
                     WHEN 'y' THEN has_type_privilege(role, oid, privilege)
                     ELSE has_function_privilege(role, oid, privilege) END
$$;

-- '(a, b)' or '(-a)' where the privilege is held on some columns, NULL where on none.
CREATE FUNCTION pg_temp.columns_held(oid oid, role name, privilege text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT CASE WHEN s.held IS NULL THEN NULL
                WHEN cardinality(s.held) > coalesce(cardinality(s.not_held), 0) THEN '(-' || array_to_string(s.not_held, ', -') || ')'
                ELSE '(' || array_to_string(s.held, ', ') || ')' END
      FROM (SELECT array_agg(a.attname ORDER BY a.attnum) FILTER (WHERE has_column_privilege(role, oid, a.attnum, privilege)) AS held,
                   array_agg(a.attname ORDER BY a.attnum) FILTER (WHERE NOT has_column_privilege(role, oid, a.attnum, privilege)) AS not_held
              FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = oid AND a.attnum > 0 AND NOT a.attisdropped) s
$$;

CREATE TEMP VIEW actual AS
SELECT o.name AS object, o.schema = 'integration'::regnamespace AS is_public, p.level,
       coalesce(string_agg(CASE WHEN pg_temp.held(o.kind, o.oid, p.role, v.privilege) THEN v.letter
                                WHEN v.by_column THEN v.letter || pg_temp.columns_held(o.oid, p.role, v.privilege) END, ''
                           ORDER BY v.by_column DESC, v.letter COLLATE "C"), '') AS verbs
  FROM object o
  JOIN verb v ON v.kind = o.kind
 CROSS JOIN person p
 WHERE o.schema IN ('integration'::regnamespace, 'integration_worker'::regnamespace)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = o.oid AND c.relispartition AND c.relname !~ '_default$')
 GROUP BY o.name, o.schema, p.level;
