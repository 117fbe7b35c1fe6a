-- Prints the lines that expected.sql should have.
\set QUIET on
BEGIN;
\ir people.sql
\ir actual.sql
\pset format unaligned
\pset tuples_only on
SELECT format('    (%-57s %-19s %-5s %-5s %-5s %s)%s', quote_literal(a.object) || ',',
              quote_literal(max(a.verbs) FILTER (WHERE a.level = 'producer')) || ',',
              quote_literal(max(a.verbs) FILTER (WHERE a.level = 'customer')) || ',',
              quote_literal(max(a.verbs) FILTER (WHERE a.level = 'support')) || ',',
              quote_literal(max(a.verbs) FILTER (WHERE a.level = 'operator')) || ',',
              quote_literal(max(a.verbs) FILTER (WHERE a.level = 'administrator')),
              CASE WHEN lead(a.object) OVER (ORDER BY a.object COLLATE "C") IS NULL THEN ';' ELSE ',' END)
  FROM actual a
 GROUP BY a.object, a.is_public
HAVING a.is_public OR bool_or(a.verbs <> '') OR a.object LIKE 'schema %'
 ORDER BY a.object COLLATE "C";
ROLLBACK;
