-- From here on texts are the user's own: a dump takes those along.

ALTER TABLE integration.phrase ALTER COLUMN shipped SET DEFAULT false;
ALTER TABLE integration.remedy ALTER COLUMN shipped SET DEFAULT false;
ALTER TABLE integration.runbook_step ALTER COLUMN shipped SET DEFAULT false;
ALTER TABLE integration.notice_text ALTER COLUMN shipped SET DEFAULT false;
ALTER TABLE integration.version_header ALTER COLUMN shipped SET DEFAULT false;

CREATE TRIGGER own_phrase BEFORE INSERT OR UPDATE ON integration.phrase
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row('locale', 'key');
CREATE TRIGGER own_remedy BEFORE INSERT OR UPDATE ON integration.remedy
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row('locale', 'audience', 'error_class', 'reason');
CREATE TRIGGER own_runbook_step BEFORE INSERT OR UPDATE ON integration.runbook_step
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row('locale', 'error_class', 'position');
CREATE TRIGGER own_notice_text BEFORE INSERT OR UPDATE ON integration.notice_text
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row('locale', 'change');
CREATE TRIGGER own_version_header BEFORE INSERT OR UPDATE ON integration.version_header
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row('name');
