-- Sentences for people: by language, filled in, the user's own.
BEGIN;
SELECT plan(15);

SELECT is(integration_worker.languages(l.locale)::text, l.languages, 'languages of ' || coalesce(l.locale, 'nothing'))
  FROM (VALUES ('de-AT', '{de-AT,de,en}'), ('zh-Hant-TW', '{zh-Hant-TW,zh-Hant,zh,en}'), ('en-GB', '{en-GB,en}'), ('en', '{en}'),
               ('', '{en}'), (NULL, '{en}')) AS l (locale, languages);

INSERT INTO integration.phrase (locale, key, words) VALUES
    ('en', 'test.late', '{sync} is late by {length}'), ('de', 'test.late', '{length} zu spät: {sync}'),
    ('de-AT', 'test.thanks', 'Vergelt''s Gott'), ('en', 'test.thanks', 'Thanks');
SELECT is(integration_worker.say('test.late', '{"sync": "a {length}", "length": "5 s"}'), 'a {length} is late by 5 s', 'filled in, in one pass');
SELECT is(integration_worker.say('test.late', '{"sync": 7, "length": "5 s"}', 'de-AT'), '5 s zu spät: 7', 'a country falls back to its language');
SELECT is(integration_worker.say('test.thanks', locale => 'de'), 'Thanks', 'a language to English');
SELECT is(integration_worker.say('test.late', '{"sync": 7, "length": null}'), NULL, 'what lacks a word has nothing to say');
SELECT is(integration_worker.say('test.nothing'), 'nothing', 'what nobody wrote is the last word of its key');
SET LOCAL integration.locale = 'de-AT';
SELECT is(integration_worker.say('test.thanks'), 'Vergelt''s Gott', 'the language of the session');
RESET integration.locale;

SELECT is((SELECT count(*) FROM integration.phrase p WHERE NOT p.shipped), 4::bigint, 'what was written is the user''s');
UPDATE integration.phrase SET words = 'Thank you' WHERE locale = 'en' AND key = 'test.thanks';
SELECT is(integration_worker.say('test.thanks'), 'Thank you', 'what was changed holds');
UPDATE integration.phrase SET words = 'DD.MM.YYYY' WHERE locale = 'en' AND key = 'time.pattern';
SELECT is(ARRAY(SELECT integration_worker.moment_words(m.at) FROM (VALUES (timestamptz '2026-02-01 12:00'), ('infinity'), (NULL)) AS m (at)),
          '{01.02.2026,infinity,NULL}', 'moments in texts that are kept are written as all others');

SELECT * FROM finish();
ROLLBACK;
