-- What to do about an incident, step by step: texts that people can change.

CREATE TABLE integration.runbook_step (
    locale text NOT NULL DEFAULT 'en' CHECK (locale ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
    error_class text NOT NULL DEFAULT '',
    "position" integer NOT NULL,
    what text NOT NULL,
    statement text,
    who text,
    shipped boolean NOT NULL DEFAULT true,
    PRIMARY KEY (locale, error_class, "position")
);
COMMENT ON TABLE integration.runbook_step IS
    'The steps of integration.runbook(): those without a class for every incident, those of its class among them by position. {words} in braces are filled in; a step that lacks one of its words is left out.';
COMMENT ON COLUMN integration.runbook_step.locale IS 'The language, as in integration.phrase.';
COMMENT ON COLUMN integration.runbook_step.error_class IS
    'For incidents of this class, or whose example failed for this reason; empty: for all.';
COMMENT ON COLUMN integration.runbook_step."position" IS 'Its place among the steps.';
COMMENT ON COLUMN integration.runbook_step.what IS
    'What to do, in words. {incident}, {title}, {endpoint}, {connector}, {remedy}, {engineer} (the remedy for engineers), {responsible}, {owner}, {contact}, {runbook_url}, {worked_before}, {example}, {object}, {customer} (whose it is), {error}, {waiting} (failed syncs, where there are any), {behind} (syncs behind those under their ordering keys), {held} (stopped or open, where the endpoint is and isn''t paused), {paused} (why, where it is), {retry_after} (until when the other system wants to be left alone), {queued} (syncs that wait for either to end), {url}, {credential} (what the endpoint authenticates with), {without_credential} (the endpoint, where there is nothing), {open} (where nobody has acknowledged it), {note}, {delivering} (the endpoint) or {watched} (the title), by which of the two ends it.';
COMMENT ON COLUMN integration.runbook_step.statement IS
    'What to run; the same words, written as literals. {…} between quotes that is no word stays.';
COMMENT ON COLUMN integration.runbook_step.who IS 'Who does it; the same words.';
COMMENT ON COLUMN integration.runbook_step.shipped IS 'Unchanged since it came with the extension; other rows are carried by a dump.';

INSERT INTO integration.runbook_step (error_class, "position", what, statement, who) VALUES
    ('', 100, 'Say that you look after it, so that nobody else starts too. It is {open}.',
     'SELECT integration.acknowledge({incident});', '{owner}'),
    ('', 150, 'What was found: {note}', NULL, NULL),
    ('', 200, 'Look at what happened to one of them, sync {example}: {error}',
     'SELECT * FROM integration.timeline({example});', NULL),
    ('', 210, 'See what exactly was sent, with the secrets left out.',
     'SELECT * FROM integration.preview({example});', NULL),
    ('', 300, 'See what waits for a person: failed syncs of this class ({waiting}).',
     'SELECT id, object_type, object_id, customer, error FROM integration.failed WHERE endpoint = {endpoint} AND error_class = {error_class};', NULL),
    ('', 390, 'This helped before: {worked_before}', NULL, NULL),
    ('', 310, 'Behind them, under the same ordering keys, wait {behind} more. They go once the failed one before them is delivered, amended or given up.',
     'SELECT integration.cancel({example}, ''why'');', NULL),
    ('', 320, 'See what waits meanwhile ({queued}). None of it is lost, it leaves by itself afterwards.',
     'SELECT id, object_type, object_id, customer, age FROM integration.sync WHERE endpoint = {endpoint} AND state IN (''pending'', ''retrying'');', NULL),
    ('', 400, '{remedy}', NULL, '{responsible}'),
    ('', 410, 'For engineers: {engineer}', NULL, NULL),
    ('', 420, 'The team''s own notes on {connector} are at {runbook_url}.', NULL, NULL),
    ('', 430, 'Who knows the other system: {contact}', NULL, NULL),
    ('', 440, '{object} belongs to {customer}.', NULL, NULL),
    ('', 500, 'The endpoint is {held}: only a probe leaves now and then. Ask whether anybody answers there; what came of it is in the sync whose id this returns.',
     'SELECT integration.ping({endpoint});', NULL),
    ('', 510, 'Once the cause is gone, have the {held} endpoint called at once instead of at the next probe.',
     'SELECT integration.resume(''endpoint'', {endpoint}, ''why'');', NULL),
    ('', 520, 'The other system wants to be left alone until {retry_after}. If it has lifted its limit since, go on at once.',
     'SELECT integration.resume(''endpoint'', {endpoint}, ''why'');', NULL),
    ('', 600, 'Send what failed again ({waiting}).',
     'SELECT integration.retry_where(endpoint => {endpoint}, error_class => {error_class}, reason => ''why'');', NULL),
    ('', 900, 'It ends by itself when {delivering} delivers again and none of its failed syncs is left. If it has to be ended by hand, say what helped: the next one of its kind shows it.',
     'SELECT integration.resolve({incident}, ''what was done'');', '{owner}'),
    ('', 910, 'It ends by itself when this is found no more: {watched}. If nobody is to hear of it until then, ignore it, and say why.',
     'SELECT integration.ignore({incident}, ''why'');', '{owner}'),
    ('auth', 450, 'Give credential {credential} its new secret; what waits is then sent by itself.',
     'SELECT integration.set_secret({credential}, ''…'');', 'administrator'),
    ('auth', 460, '{without_credential} has no credential: name what it is to authenticate with.',
     'UPDATE integration.endpoint SET credential = ''…'' WHERE name = {endpoint};', 'administrator'),
    ('secret_missing', 450, 'Set the secret of credential {credential}; what waits is then sent by itself.',
     'SELECT integration.set_secret({credential}, ''…'');', 'administrator'),
    ('secret_unreadable', 450, 'Bring back the file that could not be read, then have the server look again; what waits is then sent by itself.',
     'SELECT pg_reload_conf();', '{responsible}'),
    ('secret_unreadable', 460, 'If it is lost for good: make a new key file, then set the secret of each credential anew.',
     'SELECT integration.set_secret({credential}, ''…'');', 'administrator'),
    ('curl:35:certificate', 450, 'Set the certificate that we show anew, with its key; what waits is then sent by itself.',
     'SELECT integration.set_secret({credential}, ''…'');', 'administrator'),
    ('curl:56:certificate', 450, 'Set the certificate that we show anew, with its key; what waits is then sent by itself.',
     'SELECT integration.set_secret({credential}, ''…'');', 'administrator'),
    ('http:400:certificate', 450, 'Set the certificate that we show anew, with its key; what waits is then sent by itself.',
     'SELECT integration.set_secret({credential}, ''…'');', 'administrator'),
    ('redirect', 450, 'It is called at {url}. Put the final address there; what waits is then sent by itself.',
     'UPDATE integration.endpoint SET url = ''…'' WHERE name = {endpoint};', 'administrator'),
    ('not_found', 450, 'The whole endpoint is {held}, so its address is probably wrong: {url}. Correct it; what waits is then sent by itself.',
     'UPDATE integration.endpoint SET url = ''…'' WHERE name = {endpoint};', 'administrator'),
    ('dns', 450, 'It is called at {url}. If the host''s name is wrong, correct it.',
     'UPDATE integration.endpoint SET url = ''…'' WHERE name = {endpoint};', 'administrator'),
    ('validation', 590, 'Where the data were wrong, send corrected ones in the place of each.',
     'SELECT integration.amend({example}, ''{…}'', ''why'');', '{responsible}'),
    ('copied_database', 600, 'If this database is to send from now on and the original does not any more, let it take over.',
     'SELECT integration.adopt(''why'');', 'administrator');
