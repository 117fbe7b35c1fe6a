-- What the extension is, a fact a row: what it is about, what it is.
--
-- Two databases with the same facts can't be told apart by anything that we, people or pg_dump do; the order of
-- a table's columns is no fact, nor is an id.  Ranges are data, made by the worker: they are left out.

SET search_path = pg_catalog;

CREATE TEMP VIEW ours AS
SELECT d.classid, d.objid, i.type, i.identity
FROM pg_depend AS d
JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) AS i
WHERE e.extname = 'integration' AND d.deptype = 'e' AND i.type <> 'extension';

CREATE TEMP VIEW our_relations AS
SELECT c.*, o.identity
FROM ours AS o
JOIN pg_class AS c ON o.classid = 'pg_class'::regclass AND c.oid = o.objid;

CREATE TEMP VIEW our_types AS
SELECT t.*, o.identity
FROM ours AS o
JOIN pg_type AS t ON o.classid = 'pg_type'::regclass AND t.oid = o.objid;

-- A list of privileges without their order; NULL stands for the owner's.
CREATE FUNCTION pg_temp.privileges(acl aclitem[], kind "char", owner oid) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format('%s=%s/%s%s', coalesce(nullif(grantee, 0)::regrole::text, 'public'), privilege_type,
		grantor::regrole, CASE WHEN is_grantable THEN '*' END), ' ' ORDER BY grantee, privilege_type)
	FROM aclexplode(coalesce(acl, acldefault(kind, owner)))
$$;

CREATE TEMP VIEW facts (about, fact) AS
SELECT format('%s %s', type, identity), 'is a member' FROM ours
UNION ALL
SELECT format('extension %I', extname),
	format('version %s, schema %s, relocatable %s', extversion, extnamespace::regnamespace, extrelocatable)
FROM pg_extension WHERE extname = 'integration'
UNION ALL
SELECT format('dump of %s', r.table_id::regclass), format('WHERE %L', r.condition)
FROM pg_extension AS e, unnest(e.extconfig, e.extcondition) AS r (table_id, condition)
WHERE e.extname = 'integration'
UNION ALL
SELECT format('schema %s', o.identity), 'privileges ' || pg_temp.privileges(n.nspacl, 'n', n.nspowner)
FROM ours AS o
JOIN pg_namespace AS n ON o.classid = 'pg_namespace'::regclass AND n.oid = o.objid
UNION ALL
SELECT format('relation %s', identity),
	format('kind %s, persistence %s, options %s, identity %s, security %s %s, partition %s, by %s, owner %s, privileges %s',
		relkind, relpersistence, reloptions, relreplident, relrowsecurity, relforcerowsecurity,
		pg_get_expr(relpartbound, oid), CASE relkind WHEN 'p' THEN pg_get_partkeydef(oid) END, relowner::regrole,
		pg_temp.privileges(relacl, CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))
FROM our_relations WHERE relkind <> 'i'
UNION ALL
SELECT format('column %s.%I', r.identity, a.attname),
	format('%s%s%s%s%s collation %s, storage %s, statistics %s, options %s, privileges %s',
		format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN ' NOT NULL' END,
		' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), ' identity ' || nullif(a.attidentity::text, ''),
		' generated ' || nullif(a.attgenerated::text, ''), a.attcollation::regcollation, a.attstorage,
		nullif(a.attstattarget, -1), nullif(array(SELECT o FROM unnest(a.attoptions) AS o WHERE o !~ '^pg_'), '{}'),
		a.attacl)
FROM our_relations AS r
JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE r.relkind NOT IN ('i', 'S')
UNION ALL
SELECT format('constraint %I of %s', k.conname, coalesce(r.identity, t.identity)),
	format('%s, validated %s, inherited %s, local %s', pg_get_constraintdef(k.oid), k.convalidated, k.coninhcount,
		k.conislocal)
FROM pg_constraint AS k
LEFT JOIN our_relations AS r ON r.oid = k.conrelid
LEFT JOIN our_types AS t ON t.oid = k.contypid
WHERE r.oid IS NOT NULL OR t.oid IS NOT NULL
UNION ALL
SELECT format('index %s', x.indexrelid::regclass),
	format('%s, valid %s, replica identity %s, cluster %s', pg_get_indexdef(x.indexrelid), x.indisvalid,
		x.indisreplident, x.indisclustered)
FROM pg_index AS x
JOIN our_relations AS r ON r.oid = x.indrelid
UNION ALL
SELECT format('trigger %I of %s', t.tgname, r.identity), format('%s, enabled %s', pg_get_triggerdef(t.oid), t.tgenabled)
FROM pg_trigger AS t
JOIN our_relations AS r ON r.oid = t.tgrelid
WHERE NOT t.tgisinternal
UNION ALL
SELECT format('rule %I of %s', w.rulename, r.identity), format('%s, enabled %s', pg_get_ruledef(w.oid), w.ev_enabled)
FROM pg_rewrite AS w
JOIN our_relations AS r ON r.oid = w.ev_class
UNION ALL
SELECT format('policy %I of %s', p.polname, r.identity),
	format('%s %s %s %s %s', p.polcmd, p.polpermissive, p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid),
		pg_get_expr(p.polwithcheck, p.polrelid))
FROM pg_policy AS p
JOIN our_relations AS r ON r.oid = p.polrelid
UNION ALL
SELECT format('sequence %s', r.identity),
	format('%s from %s by %s, %s to %s, cache %s, cycle %s, owned by %s', s.seqtypid::regtype, s.seqstart,
		s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle,
		(SELECT string_agg(format('%s.%s', d.refobjid::regclass, a.attname), ',')
		 FROM pg_depend AS d
		 JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
		 WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.deptype IN ('a', 'i')))
FROM our_relations AS r
JOIN pg_sequence AS s ON s.seqrelid = r.oid
UNION ALL
SELECT format('function %s', o.identity),
	format('owner %s, privileges %s, %s', p.proowner::regrole, pg_temp.privileges(p.proacl, 'f', p.proowner),
		CASE p.prokind WHEN 'a' THEN 'an aggregate' ELSE pg_get_functiondef(p.oid) END)
FROM ours AS o
JOIN pg_proc AS p ON o.classid = 'pg_proc'::regclass AND p.oid = o.objid
UNION ALL
SELECT format('type %s', identity),
	format('kind %s, of %s%s%s, owner %s, privileges %s, labels %s', typtype, typbasetype::regtype,
		CASE WHEN typnotnull THEN ' NOT NULL' END, ' DEFAULT ' || typdefault, typowner::regrole,
		pg_temp.privileges(typacl, 'T', typowner),
		(SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))
FROM our_types AS t
UNION ALL
SELECT format('comment on %s %s', i.type, i.identity), d.description
FROM pg_description AS d
CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
WHERE (d.classoid, d.objoid) IN (SELECT classid, objid FROM ours)
	OR i.identity ~ '\mintegration(_worker)?\.' AND i.type ~ 'constraint|index|trigger|rule|policy'
UNION ALL
SELECT format('shipped %s', what), fact
FROM (
	SELECT 'class ' || name, to_jsonb(c)::text FROM integration.error_class AS c WHERE shipped
	UNION ALL
	SELECT 'reason ' || reason, to_jsonb(r)::text FROM integration.error_reason AS r WHERE shipped
	UNION ALL
	SELECT 'policy ' || name, to_jsonb(p)::text FROM integration.retry_policy AS p WHERE shipped) AS rows (what, fact);

COPY (SELECT about, regexp_replace(fact, '[ \t]*\n', E'\n', 'g') FROM facts ORDER BY 1, 2) TO STDOUT;
