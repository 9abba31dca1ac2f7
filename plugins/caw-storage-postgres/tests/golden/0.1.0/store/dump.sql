CREATE SCHEMA kept_by_caw;
CREATE TABLE kept_by_caw.heads (
    session_id text NOT NULL COLLATE pg_catalog."C",
    completed boolean NOT NULL,
    facts jsonb NOT NULL,
    document text NOT NULL
);
CREATE SEQUENCE kept_by_caw.histories
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE kept_by_caw.leases (
    session_id text NOT NULL COLLATE pg_catalog."C",
    token bigint NOT NULL,
    holder text NOT NULL,
    request text NOT NULL,
    expires timestamp with time zone NOT NULL
);
CREATE UNLOGGED TABLE kept_by_caw.live_events (
    session_id text NOT NULL COLLATE pg_catalog."C",
    turn bigint NOT NULL,
    number bigint NOT NULL,
    size integer NOT NULL,
    document text NOT NULL
);
CREATE TABLE kept_by_caw.migrations (
    version integer NOT NULL,
    applied timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE kept_by_caw.segments (
    session_id text NOT NULL COLLATE pg_catalog."C",
    history bigint NOT NULL,
    start bigint NOT NULL,
    stop bigint NOT NULL
);
CREATE TABLE kept_by_caw.sessions (
    id text NOT NULL COLLATE pg_catalog."C",
    history bigint NOT NULL,
    updated bigint NOT NULL,
    num_turns bigint DEFAULT 0 NOT NULL,
    first_turn bigint,
    last_turn bigint,
    status text DEFAULT ''::text NOT NULL,
    title text DEFAULT ''::text NOT NULL,
    shared bigint DEFAULT 0 NOT NULL,
    lent bigint DEFAULT 0 NOT NULL
);
CREATE SEQUENCE kept_by_caw.tokens
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE kept_by_caw.turns (
    history bigint NOT NULL,
    index bigint NOT NULL,
    status text NOT NULL,
    version smallint NOT NULL,
    all_words boolean NOT NULL,
    words tsvector NOT NULL,
    document text NOT NULL
);
INSERT INTO kept_by_caw.heads VALUES ('ended', true, '{"cwd": "/somewhere", "tags": ["a", "b"], "metadata": {"nested": {"list": [1, {"deep": null}]}, "ticket": 7}, "provider": "played"}', '{"version":2,"session_id":"ended","provider":"played","model":"model-1","created_at":"2026-01-02T03:04:05+00:00","completed_at":"2026-01-02T04:00:00+00:00","system_prompt":"","reasoning":"","metadata":{"ticket":7,"nested":{"list":[1,{"deep":null}]}},"cwd":"/somewhere","resume_key":"key","tags":["a","b"]}');
INSERT INTO kept_by_caw.heads VALUES ('child', false, '{"cwd": "/somewhere", "tags": [], "metadata": {"nested": {"list": [1, {"deep": null}]}, "ticket": 7}, "provider": "played"}', '{"version":2,"session_id":"child","provider":"played","model":"model-1","created_at":"2026-01-02T03:04:05+00:00","completed_at":"","system_prompt":"","reasoning":"","metadata":{"ticket":7,"nested":{"list":[1,{"deep":null}]}},"cwd":"/somewhere","forked_from":"ended"}');
INSERT INTO kept_by_caw.heads VALUES ('strange', false, '{"cwd": "/somewhere", "tags": [], "metadata": {"nested": {"list": [1, {"deep": null}]}, "ticket": 7}, "provider": "played"}', '{"version":2,"session_id":"strange","provider":"played","model":"model-1","created_at":"2026-01-02T03:04:05+00:00","completed_at":"","system_prompt":"","reasoning":"","metadata":{"ticket":7,"nested":{"list":[1,{"deep":null}]}},"cwd":"/somewhere"}');
INSERT INTO kept_by_caw.heads VALUES ('cut-off', false, '{"cwd": "/somewhere", "tags": [], "metadata": {"nested": {"list": [1, {"deep": null}]}, "ticket": 7}, "provider": "played"}', '{"version":2,"session_id":"cut-off","provider":"played","model":"model-1","created_at":"2026-01-02T03:04:05+00:00","completed_at":"","system_prompt":"","reasoning":"","metadata":{"ticket":7,"nested":{"list":[1,{"deep":null}]}},"cwd":"/somewhere"}');
INSERT INTO kept_by_caw.leases VALUES ('ended', 1, 'process 5704 on vm', 'dd1f1c8719994ad88cda7c458d6772d6', '-infinity');
INSERT INTO kept_by_caw.leases VALUES ('child', 2, 'process 5704 on vm', '9ca86a3e3fcb4b7ab1892b4ab89d9c42', '-infinity');
INSERT INTO kept_by_caw.leases VALUES ('strange', 3, 'process 5704 on vm', '4bba4fb6619447e78405e202f97e9584', '-infinity');
INSERT INTO kept_by_caw.leases VALUES ('cut-off', 4, 'process 5704 on vm', '0d5a052cf1f64aed82b8f1c9fdeebe25', '-infinity');
INSERT INTO kept_by_caw.migrations VALUES (1, '2026-11-21 19:41:56.965859+00');
INSERT INTO kept_by_caw.sessions VALUES ('ended', 1, 1795290117025514, 3, 0, 2, 'completed', 'prompt 0', 0, 0);
INSERT INTO kept_by_caw.sessions VALUES ('child', 2, 1795290117051465, 3, 0, 2, 'completed', 'prompt 0', 0, 0);
INSERT INTO kept_by_caw.sessions VALUES ('strange', 3, 1795290117073935, 1, 0, 0, 'failed', 'prompt', 0, 0);
INSERT INTO kept_by_caw.sessions VALUES ('cut-off', 4, 1795290117091842, 1, 0, 0, 'running', 'prompt 0', 0, 0);
INSERT INTO kept_by_caw.turns VALUES (1, 0, 'completed', 2, true, '''0'' ''answer'' ''prompt''', '{"index":0,"input":"prompt 0","output":[{"type":"text","text":"answer 0"}],"usage":{"input_tokens":1,"output_tokens":2,"cache_read_tokens":0,"cache_write_tokens":0,"cost_usd":null,"cost_source":"unknown"},"duration_ms":5,"status":"completed","stop_reason":"end_turn","started_at":"2026-01-02T03:04:05+00:00"}');
INSERT INTO kept_by_caw.turns VALUES (1, 1, 'completed', 2, true, '''1'' ''answer'' ''prompt''', '{"index":1,"input":"prompt 1","output":[{"type":"text","text":"answer 1"}],"usage":{"input_tokens":2,"output_tokens":2,"cache_read_tokens":0,"cache_write_tokens":0,"cost_usd":null,"cost_source":"unknown"},"duration_ms":5,"status":"completed","stop_reason":"end_turn","started_at":"2026-01-02T03:04:05+00:00"}');
INSERT INTO kept_by_caw.turns VALUES (1, 2, 'completed', 2, true, '''2'' ''answer'' ''prompt''', '{"index":2,"input":"prompt 2","output":[{"type":"text","text":"answer 2"}],"usage":{"input_tokens":3,"output_tokens":2,"cache_read_tokens":0,"cache_write_tokens":0,"cost_usd":null,"cost_source":"unknown"},"duration_ms":5,"status":"completed","stop_reason":"end_turn","started_at":"2026-01-02T03:04:05+00:00"}');
INSERT INTO kept_by_caw.turns VALUES (2, 0, 'completed', 2, true, '''0'' ''answer'' ''prompt''', '{"index":0,"input":"prompt 0","output":[{"type":"text","text":"answer 0"}],"usage":{"input_tokens":1,"output_tokens":2,"cache_read_tokens":0,"cache_write_tokens":0,"cost_usd":null,"cost_source":"unknown"},"duration_ms":5,"status":"completed","stop_reason":"end_turn","started_at":"2026-01-02T03:04:05+00:00"}');
INSERT INTO kept_by_caw.turns VALUES (2, 1, 'completed', 2, true, '''1'' ''answer'' ''prompt''', '{"index":1,"input":"prompt 1","output":[{"type":"text","text":"answer 1"}],"usage":{"input_tokens":2,"output_tokens":2,"cache_read_tokens":0,"cache_write_tokens":0,"cost_usd":null,"cost_source":"unknown"},"duration_ms":5,"status":"completed","stop_reason":"end_turn","started_at":"2026-01-02T03:04:05+00:00"}');
INSERT INTO kept_by_caw.turns VALUES (2, 2, 'completed', 2, true, '''2'' ''another'' ''answer'' ''way''', '{"index":2,"input":"another way","output":[{"type":"text","text":"answer 2"}],"usage":{"input_tokens":3,"output_tokens":2,"cache_read_tokens":0,"cache_write_tokens":0,"cost_usd":null,"cost_source":"unknown"},"duration_ms":5,"status":"completed","stop_reason":"end_turn","started_at":"2026-01-02T03:04:05+00:00"}');
INSERT INTO kept_by_caw.turns VALUES (3, 0, 'failed', 2, true, '''prompt''', '{"index":0,"input":"prompt","output":[{"type":"hologram","depth":2,"parts":[{"type":"text"}]},{"type":"turn_end","index":99,"turn_index":99,"id":null},{"no":"type"},{"type":"thinking","text":"hm","from_the_future":{"a":[1,null,"x",2.5,true],"type":"text"}},{"type":"tool_use","id":"1","name":"x","arguments":{"type":"y"},"output":"","status":"completed","content":[{"type":"z"}]},{"type":"tool_use","id":"2","name":"x","arguments":{},"output":"so far","status":"running","index":5},{"type":"image","mime_type":"image/png","data":"aGk=","from_the_future":{"a":[1,null,"x",2.5,true],"type":"text"}},{"type":"text","text":"","from_the_future":{"a":[1,null,"x",2.5,true],"type":"text"},"turn":{"session_id":"other"}}],"usage":{"input_tokens":9007199254740991,"output_tokens":0,"cache_read_tokens":0,"cache_write_tokens":0,"cost_usd":0.1,"cost_source":"reported","from_the_future":{"a":[1,null,"x",2.5,true],"type":"text"}},"duration_ms":0,"status":"failed","stop_reason":"refusal","error":{"type":"T","message":"m","data":{"resets_at":null},"from_the_future":{"a":[1,null,"x",2.5,true],"type":"text"}},"plan":[{"text":"step","status":"a new status","from_the_future":{"a":[1,null,"x",2.5,true],"type":"text"}}],"attachments":[{"kind":"file","name":"a.txt","from_the_future":{"a":[1,null,"x",2.5,true],"type":"text"}}],"structured":{"answer":[1,2.5,null,false,{"k":""}]},"options":[{"name":"cwd","support":"native","from_the_future":{"a":[1,null,"x",2.5,true],"type":"text"}}],"from_the_future":{"a":[1,null,"x",2.5,true],"type":"text"},"session_id":"other","turns":[],"attempt":3}');
INSERT INTO kept_by_caw.turns VALUES (4, 0, 'running', 2, true, '''0'' ''at'' ''i'' ''look'' ''prompt''', '{"index":0,"input":"prompt 0","output":[{"type":"text","text":"I look at 0."},{"type":"tool_use","id":"call-1","name":"shell","arguments":{"command":"ls"},"output":"a b","status":"completed"},{"type":"tool_use","id":"call-2","name":"shell","arguments":{"command":"make"},"output":"","status":"running"}],"usage":{"input_tokens":1,"output_tokens":2,"cache_read_tokens":0,"cache_write_tokens":0,"cost_usd":null,"cost_source":"unknown"},"duration_ms":0,"status":"running","started_at":"2026-01-02T03:04:05+00:00"}');
SELECT pg_catalog.setval('kept_by_caw.histories', 4, true);
SELECT pg_catalog.setval('kept_by_caw.tokens', 4, true);
ALTER TABLE ONLY kept_by_caw.heads
    ADD CONSTRAINT heads_pkey PRIMARY KEY (session_id);
ALTER TABLE ONLY kept_by_caw.leases
    ADD CONSTRAINT leases_pkey PRIMARY KEY (session_id);
ALTER TABLE ONLY kept_by_caw.live_events
    ADD CONSTRAINT live_events_pkey PRIMARY KEY (session_id, turn, number);
ALTER TABLE ONLY kept_by_caw.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY kept_by_caw.segments
    ADD CONSTRAINT segments_pkey PRIMARY KEY (session_id, history);
ALTER TABLE ONLY kept_by_caw.sessions
    ADD CONSTRAINT sessions_history_key UNIQUE (history);
ALTER TABLE ONLY kept_by_caw.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY kept_by_caw.turns
    ADD CONSTRAINT turns_pkey PRIMARY KEY (history, index);
CREATE INDEX heads_facts ON kept_by_caw.heads USING gin (facts jsonb_path_ops);
CREATE INDEX segments_history ON kept_by_caw.segments USING btree (history);
CREATE INDEX sessions_updated ON kept_by_caw.sessions USING btree (updated, id);
CREATE INDEX turns_without_all_words ON kept_by_caw.turns USING btree (history, index) WHERE (NOT all_words);
CREATE INDEX turns_words ON kept_by_caw.turns USING gin (words);
