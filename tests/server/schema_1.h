// A store of the first schema, as that version wrote it.
#pragma once

namespace seedlm::server {

inline constexpr char kSchema1[] = R"(
CREATE TABLE jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  request_id TEXT UNIQUE,
  body_hash TEXT,
  state INTEGER NOT NULL,
  last_sequence INTEGER NOT NULL,
  record TEXT NOT NULL
);
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE TABLE labels (
  job INTEGER NOT NULL REFERENCES jobs (id),
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (job, key)
) WITHOUT ROWID;
CREATE INDEX labels_by_value ON labels (key, value, job);
CREATE TABLE events (
  job INTEGER NOT NULL REFERENCES jobs (id),
  sequence INTEGER NOT NULL,
  time_ns INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (job, sequence)
) WITHOUT ROWID;
PRAGMA application_id = 1397048652;
PRAGMA user_version = 1;
)";

// A job that has SUCCEEDED and one that was RUNNING when its server ended, ids 1 and 3.
inline constexpr char kRows1[] = R"(
INSERT INTO jobs VALUES (1, 'jobs/old', 'r1', 'hash1', 3, 4, '{
  "attempt":2,"create_time_ns":100,"end_time_ns":900,"error_code":0,"error_message":"",
  "error_reason":"","estimate":{"bits_per_weight":4.0,"input_bytes":8192,"output_bytes":1100,
  "scratch_bytes":0,"seconds":0.5,"skipped":[{"name":"norm","reason":"no matrix"}],"weights":2048},
  "etag":"4","name":"jobs/old","output_artifact":"artifacts/o","output_files":[
  {"path":"model.safetensors","sha256":"abc","size":1100}],"progress":{"bytes_written":1100,
  "current_tensor":"a","eta_seconds":0.0,"shards_done":1,"shards_total":1,"tensors_done":1,
  "tensors_total":1,"weights_done":2048,"weights_per_second":10.0,"weights_total":2048},
  "request":{"destination":{"managed":true,"overwrite":false,"uri":""},"labels":{"team":"x"},
  "priority":3,"source":{"artifact":"artifacts/i","uri":""},"spec":{"backend":"auto","exclude":[],
  "fit":"optimal","include":["*"],"profile":"4bit","scale":"fitted","skip":[]}},
  "start_time_ns":200}');
INSERT INTO labels VALUES (1, 'team', 'x');
INSERT INTO events VALUES (1, 1, 100, '{"state":1}'), (1, 2, 200, '{"state":2}'),
  (1, 3, 800, '{"tensor":{"backend":"cpu","bits_per_weight":4.0,"columns":64,"max_error":0.1,
  "name":"a","relative_error":0.2,"rows":32,"seconds":0.1,"sha256":"def"}}'),
  (1, 4, 900, '{"state":3}');
INSERT INTO jobs VALUES (3, 'jobs/busy', NULL, NULL, 2, 2, '{"attempt":1,"create_time_ns":300,
  "end_time_ns":0,"name":"jobs/busy","etag":"2","request":{"destination":{"managed":false,
  "overwrite":true,"uri":"file:///x"},"labels":{},"priority":0,"source":{"artifact":"",
  "uri":"file:///y"},"spec":{"backend":"cpu","exclude":[],"fit":"nearest","include":[],
  "profile":"3bit","scale":"pow2","skip":[]}},"start_time_ns":400}');
INSERT INTO events VALUES (3, 1, 300, '{"state":1}'), (3, 2, 400, '{"state":2}');
)";

}  // namespace seedlm::server
