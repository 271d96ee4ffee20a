CREATE TABLE conversations (id TEXT PRIMARY KEY, name TEXT, model TEXT);
CREATE TABLE responses (id TEXT PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, prompt_json TEXT, options_json TEXT,
    response TEXT, response_json TEXT, conversation_id TEXT REFERENCES conversations (id), duration_ms INTEGER, datetime_utc TEXT);
CREATE TABLE attachments (id TEXT PRIMARY KEY, type TEXT, path TEXT, url TEXT, content BLOB);
CREATE TABLE prompt_attachments (response_id TEXT, attachment_id TEXT, "order" INTEGER, PRIMARY KEY (response_id, attachment_id));
CREATE TABLE tool_calls (id INTEGER PRIMARY KEY, response_id TEXT, tool_id INTEGER, name TEXT, arguments TEXT, tool_call_id TEXT);
CREATE TABLE tool_results (id INTEGER PRIMARY KEY, response_id TEXT, tool_id INTEGER, name TEXT, output TEXT, tool_call_id TEXT);
INSERT INTO conversations VALUES ('01jc1', 'Fun facts', 'gpt-4o-mini'), ('01jc2', NULL, NULL);
INSERT INTO responses VALUES
    ('01jr2', 'gpt-4o-mini', 'Another', NULL, '{}', '{}', 'Octopuses have three hearts 🐙', '{}', '01jc1', 900, '2024-11-05T10:01:00.000000'),
    ('01jr1', 'gpt-4o-mini', 'A fun fact', 'Be brief', '{}', '{}', 'Honey does not spoil', '{}', '01jc1', 800, '2024-11-05T10:00:00.123456+00:00'),
    ('01jr3', NULL, 'What time is it?', NULL, NULL, NULL, 'Late', NULL, '01jc2', NULL, NULL),
    ('01jr4', 'gpt-4o-mini', 'On its own', NULL, NULL, NULL, 'It has no conversation', NULL, NULL, NULL, '2024-11-06T10:00:00');
INSERT INTO attachments VALUES ('a1', 'image/png', '/home/ann/pictures/bee.png', NULL, NULL);
INSERT INTO prompt_attachments VALUES ('01jr1', 'a1', 0);
INSERT INTO tool_calls VALUES (1, '01jr3', 1, 'clock', '{"zone":"UTC"}', 'call1');
INSERT INTO tool_results VALUES (1, '01jr3', 1, 'clock', '23:59', 'call1');
