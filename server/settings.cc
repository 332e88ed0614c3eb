#include "server/settings.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace seedlm::server {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kGiB = int64_t{1} << 30;

#define FIELD(member) \
  [](ServerOptions & options) -> auto& { return options.member; }

std::vector<Setting> MakeSettings() {
  return {
      // ---- Where it is reached.
      {"listen", "Doors", TextList(FIELD(listen), "ADDRESS"),
       "HOST:PORT (port 0: any free one) or unix:PATH; as a flag, repeatable",
       "127.0.0.1:7433 and unix:DATA_DIR/server.sock"},
      {"insecure", "Doors", YesOrNo(FIELD(insecure)),
       "Allow plaintext on addresses that other machines reach"},
      {"tokens", "Doors", Text(FIELD(tokens), "FILE"),
       "Who may call: lines of `DIGEST OWNER ROLE`; read again when it changes and on SIGHUP",
       "none: who can connect may do everything"},
      {"tls-cert", "Doors", Text(FIELD(tls.certificate), "FILE"),
       "PEM: the server's certificate, then its chain. With it all TCP addresses speak TLS"},
      {"tls-key", "Doors", Text(FIELD(tls.key), "FILE"), "PEM: the key of the certificate"},
      {"tls-client-ca", "Doors", Text(FIELD(tls.client_ca), "FILE"),
       "PEM: clients must have a certificate that one of these signed"},
      {"tls-refresh", "Doors", Duration(FIELD(tls_refresh), seconds(1), hours(24)),
       "The TLS files are read again so often, so that a renewed one needs no restart"},
      {"max-connections", "Doors", Integer(FIELD(max_connections), "connections", 1, 100'000),
       "Connections that are open at a time, at most; over that a new one is closed at once"},
      {"rpc-memory", "Doors", Size(FIELD(rpc_memory), 64 << 20, 1024 * kGiB),
       "Memory for messages in flight, of all connections; over that calls are refused"},
      {"owner-jobs", "Doors", Integer(FIELD(max_owner_jobs), "jobs", 0, 1'000'000),
       "Jobs of one owner that wait and run, at most; 0: as max-jobs"},
      {"owner-uploads", "Doors", Integer(FIELD(max_owner_uploads), "streams", 1, 10'000),
       "Uploads of one owner at a time, at most; over that WriteArtifact answers "
       "RESOURCE_EXHAUSTED"},
      {"max-uploads", "Doors", Integer(FIELD(max_uploads), "streams", 1, 100'000),
       "Uploads of all owners at a time, at most; each holds up to 4 MiB of memory"},
      {"owner-downloads", "Doors", Integer(FIELD(max_owner_downloads), "streams", 1, 10'000),
       "Downloads of one owner at a time, at most; over that ReadArtifact answers "
       "RESOURCE_EXHAUSTED"},
      {"max-downloads", "Doors", Integer(FIELD(max_downloads), "streams", 1, 100'000),
       "Downloads of all owners at a time, at most; each holds up to 3 MiB of memory"},
      {"owner-watches", "Doors", Integer(FIELD(max_owner_watches), "streams", 1, 100'000),
       "WatchJob streams of one owner at a time, at most; over that WatchJob answers "
       "RESOURCE_EXHAUSTED"},
      {"max-watches", "Doors", Integer(FIELD(max_watches), "streams", 1, 1'000'000),
       "WatchJob streams of all owners at a time, at most; each holds some 100 KiB of memory"},
      {"owner-bytes", "Doors", Size(FIELD(max_owner_bytes), 0, 1024 * 1024 * kGiB),
       "Artifacts of one owner, finished and arriving, and what is staged for S3, at most; 0: no "
       "limit"},
      {"upload-idle", "Doors", Duration(FIELD(upload_idle), milliseconds(10), hours(1)),
       "An upload on which nothing comes for so long is ended; what arrived is kept"},
      {"watch-keep-alive", "Doors", Duration(FIELD(watch_keep_alive), milliseconds(1), seconds(30)),
       "A WatchJob stream says something at least so often; seedlm takes one that is silent for "
       "45 s for lost"},

      // ---- Where it keeps things.
      {"data-dir", "Storage", Text(FIELD(data_dir), "DIR"),
       "Where jobs and artifacts are kept; made if need be, held by one server at a time",
       "none: it must be given"},
      {"storage-root", "Storage", TextList(FIELD(storage_roots), "DIR"),
       "Jobs read and write file:// below this; as a flag, repeatable", "nowhere"},
      {"retain-jobs", "Storage", Duration(FIELD(retain_jobs), milliseconds(0), hours(87'600)),
       "Jobs are deleted so long after their end, with results that the server keeps; 0: never"},
      {"retain-uploads", "Storage", Duration(FIELD(retain_uploads), milliseconds(0), hours(87'600)),
       "Uploads, finished or not, are deleted so long after their last byte, unless a job needs "
       "them that has not ended, or has work to be resumed; 0: never"},
      {"s3-endpoint", "Storage", Text(FIELD(s3.endpoint), "URL"),
       "The S3 server of s3:// destinations, the only one that is asked",
       "AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or Amazon's of the region"},
      {"s3-region", "Storage", Text(FIELD(s3.region), "REGION"), "The region of the buckets",
       "AWS_REGION, AWS_DEFAULT_REGION, or us-east-1"},
      {"s3-credentials", "Storage", Text(FIELD(s3.credentials_file), "FILE"),
       "The keys, as the tools of AWS keep them: [PROFILE], aws_access_key_id, "
       "aws_secret_access_key, aws_session_token; read again when it changes and on SIGHUP, and "
       "refused where others may read it. Keys are no settings",
       "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, or "
       "AWS_SHARED_CREDENTIALS_FILE"},
      {"s3-profile", "Storage", Text(FIELD(s3.profile), "NAME"), "Whose keys of that file",
       "AWS_PROFILE, or default"},
      {"s3-addressing", "Storage", Choice(FIELD(s3_addressing), {"auto", "path", "virtual-host"}),
       "ENDPOINT/BUCKET or BUCKET.ENDPOINT; auto: by path where an endpoint is set"},
      {"s3-ca", "Storage", Text(FIELD(s3.ca_bundle), "FILE"),
       "PEM: who may vouch for the S3 server", "AWS_CA_BUNDLE, or the system's"},
      {"s3-part-size", "Storage", Size(FIELD(s3_transfer.part_bytes), 5 * kMiB, kGiB),
       "Outputs leave in parts of this size; larger where 10,000 would not do"},
      {"s3-parallel", "Storage", Integer(FIELD(s3_transfer.parallel), "parts", 1, 64),
       "Parts of one job that are on their way at a time"},
      {"s3-patience", "Storage", Duration(FIELD(s3.retry.patience), milliseconds(0), hours(24)),
       "How long a job waits for an S3 server that is away before it fails; it can be resumed"},

      // ---- How it works.
      {"threads", "Work", Integer(FIELD(threads), "threads", 0, 4096),
       "Worker threads; 0: one for each hardware thread. As many work on a VerifyArtifact beside "
       "them"},
      {"backend", "Work", Text(FIELD(backend), "NAME"),
       "What jobs run on that do not choose one; `seedlm devices` lists them"},
      {"search", "Work", Choice(FIELD(search), {"auto", "exhaustive", "index"}),
       "auto: all seeds or the index, by what is expected to be fastest; exhaustive: no index; "
       "index: "
       "as for a job without end, so lists are built at once. The bytes are the same"},
      {"memory", "Work", Size(FIELD(memory), 0, 1024 * kGiB, kMiB),
       "Memory for work, at most: the index, and what the workers hold; where that is too little "
       "for all of it there are fewer shards at a time, a smaller index, fewer workers, and the "
       "bytes are the same; refused where not even one worker fits (364MiB with the default "
       "shards). Calls have bounds of their own, above. 0: three quarters of what the machine "
       "has, or the control group that the server is in"},
      {"index-memory", "Work", Size(FIELD(index_memory), 0, 1024 * kGiB, kMiB),
       "Memory for the index of the search, at most; 0: no index, and a slower search"},
      {"index-cache", "Work", Text(FIELD(index_cache), "DIR"),
       "Where the index is kept from one start to the next; empty: nowhere",
       "seedlm in XDG_CACHE_HOME, or in .cache in HOME"},
      {"max-jobs", "Work", Integer(FIELD(max_active_jobs), "jobs", 1, 1'000'000),
       "Jobs that wait and run, at most; over that CreateJob answers RESOURCE_EXHAUSTED"},
      {"drain-grace", "Work", Duration(FIELD(drain_grace), milliseconds(0), minutes(5)),
       "How long calls that run may go on after SIGTERM; jobs stop at once and are kept"},

      // ---- What is seen of it.
      {"metrics", "Sight", Text(FIELD(metrics), "ADDRESS"),
       "HOST:PORT on which Prometheus reads /metrics, in plaintext: loopback, or anywhere with "
       "insecure"},
      {"log-format", "Sight", Choice(FIELD(log_format), {"text", "json"}),
       "text: a line for people; json: an object a line, with time, level, message, job, shard, "
       "backend"},
      {"log-level", "Sight",
       Choice(FIELD(log_level), {"trace", "debug", "info", "warn", "error", "off"}),
       "The least severe messages that are logged; debug says how each shard was searched"},
  };
}

#undef FIELD

// What a row of documentation says of the values.
std::string TypeText(const Setting& setting) {
  const std::string allowed = setting.type->allowed();
  return allowed.empty() ? setting.type->name() : absl::StrCat(setting.type->name(), ", ", allowed);
}

bool IsUnset(const std::string& shown) { return shown == "\"\"" || shown == "[]"; }

}  // namespace

const std::vector<Setting>& Settings() {
  static const std::vector<Setting> settings = MakeSettings();
  return settings;
}

const Setting* FindSetting(std::string_view name) {
  for (const Setting& setting : Settings()) {
    if (setting.name == name) return &setting;
  }
  return nullptr;
}

ServerOptions DefaultOptions() {
  ServerOptions options;
  options.index_cache = DefaultIndexCache();
  return options;
}

std::string DefaultText(const Setting& setting) {
  if (!setting.default_text.empty()) return setting.default_text;
  const std::string shown = setting.type->Show(ServerOptions());
  return IsUnset(shown) ? "none" : absl::StrReplaceAll(shown, {{"\"", ""}});
}

absl::Status AssignFlag(const Setting& setting, const std::vector<std::string>& texts,
                        ServerOptions& options) {
  const absl::StatusOr<RawValue> value = setting.type->FromText(texts);
  const absl::Status status = value.ok() ? setting.type->Assign(*value, options) : value.status();
  if (status.ok()) return status;
  return absl::InvalidArgumentError(
      absl::StrCat("--", setting.name, " ", absl::StrJoin(texts, " "), ": ", status.message()));
}

std::string PrintConfig(const ServerOptions& options) {
  std::string text = absl::StrCat("# Configuration of seedlm-server ", kVersion,
                                  ": seedlm-server --config FILE. A flag of the same name wins.\n");
  const ServerOptions defaults = DefaultOptions();
  std::string group;
  for (const Setting& setting : Settings()) {
    if (setting.group != group) {
      group = setting.group;
      absl::StrAppend(&text, "\n# ---- ", group, "\n");
    }
    const std::string value = setting.type->Show(options);
    const bool unset = IsUnset(value) && value == setting.type->Show(defaults);
    absl::StrAppend(&text, "\n# ", setting.help, ".\n# ", TypeText(setting),
                    "; default: ", DefaultText(setting), "\n", unset ? "# " : "", setting.name,
                    " = ", value, "\n");
  }
  return text;
}

std::string PrintSettings() {
  std::string text =
      "# Settings of seedlm-server\n\n"
      "Printed by `seedlm-server --print-settings`. Each is a flag (`--max-jobs 10`) and a key of "
      "the\n"
      "file that `--config` names (`max-jobs = 10`), under the same rules; the flag wins, also "
      "over a\n"
      "whole list. Sizes are `\"512MiB\"` (bytes, KiB, MiB, GiB, TiB), durations `\"15s\"` (ms, s, "
      "min,\n"
      "h, d). `--print-config` prints the file that belongs to a command line, and checks it;\n"
      "`--check-config` opens the files that it names, too, and says what a start would say, but\n"
      "for what the moment decides: the database and its schema, ports that are taken, room.\n";
  std::string group;
  for (const Setting& setting : Settings()) {
    if (setting.group != group) {
      group = setting.group;
      absl::StrAppend(&text, "\n## ", group, "\n\n| setting | values | default | what it does |\n",
                      "|---|---|---|---|\n");
    }
    absl::StrAppend(&text, "| `", setting.name, "` | ",
                    absl::StrReplaceAll(TypeText(setting), {{"|", "\\|"}}), " | ",
                    DefaultText(setting), " | ", setting.help, " |\n");
  }
  return text;
}

}  // namespace seedlm::server
