-- A key that secrets are sealed with, until ALTER SYSTEM RESET integration.secret_key_file; its path in KEY_FILE.
\getenv tmp TMPDIR
\setenv KEY_FILE :tmp/pgtap.key
\! (umask 077; head -c 32 /dev/urandom > "$KEY_FILE")
SELECT format('ALTER SYSTEM SET integration.secret_key_file = %L', :'tmp' || '/pgtap.key') \gexec
SELECT pg_reload_conf() \gset
-- A reload reaches this session between two statements.
SELECT $$SELECT pg_sleep(0.05) WHERE current_setting('integration.secret_key_file') NOT LIKE '%/pgtap.key'$$ FROM generate_series(1, 200) \gexec
