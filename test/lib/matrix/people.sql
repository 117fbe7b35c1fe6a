-- One role of each level: the table pg_temp.person.

CREATE ROLE matrix_nobody;
CREATE ROLE matrix_producer;
CREATE ROLE matrix_customer;
CREATE ROLE matrix_support;
CREATE ROLE matrix_operator;
CREATE ROLE matrix_administrator;
SET LOCAL client_min_messages = warning;
SELECT integration.grant_producer('matrix_producer'), integration.grant_customer('matrix_customer', 'acme'), integration.grant_support('matrix_support'),
       integration.grant_operator('matrix_operator'), integration.grant_administrator('matrix_administrator') \g /dev/null

CREATE TEMP TABLE person (level text, role name);
INSERT INTO person
SELECT l.level, 'matrix_' || l.level
  FROM unnest('{nobody,producer,customer,support,operator,administrator}'::text[]) AS l (level);
