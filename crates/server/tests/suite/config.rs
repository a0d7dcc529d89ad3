//! Layers, provenance, and what is said about mistakes.

use std::path::PathBuf;
use std::time::Duration;

use downcity_server::config::{ConfigError, ConfigSources, LoadedConfig, Source, template};
use downcity_server::{FailureKind, StartError};
use downcity_types::TokenAlgorithm;
use serde_json::{Value, json};
use tempfile::TempDir;

type Variables<'a> = &'a [(&'a str, &'a str)];

struct File {
    folder: TempDir,
}

impl File {
    fn new(text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("federation.toml"), text).unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("federation.toml")
    }

    fn line(&self, line: usize) -> Source {
        Source::File { path: self.path(), line }
    }

    fn sources(&self, variables: Variables<'_>) -> ConfigSources {
        ConfigSources::with_environment(variables.iter().copied()).file(self.path())
    }

    fn load(&self, variables: Variables<'_>) -> LoadedConfig {
        self.sources(variables).load().unwrap()
    }

    /// The problems as `line key message`.
    fn problems(&self) -> Vec<String> {
        let error = self.sources(&[]).load().unwrap_err();
        let shown = |problem: &downcity_server::config::Problem| {
            let Source::File { line, .. } = problem.source else { panic!("{problem}") };
            format!("{line} {} {}", problem.key, problem.message)
        };
        error.problems.iter().map(shown).collect()
    }
}

fn environment(variables: Variables<'_>) -> Result<LoadedConfig, ConfigError> {
    ConfigSources::with_environment(variables.iter().copied()).load()
}

#[test]
fn without_anything_the_defaults_are_in_effect() {
    let loaded = File::new("").load(&[]);
    assert_eq!(loaded.config.server.listen, "127.0.0.1:43127");
    assert_eq!(loaded.config.database.url, "sqlite:.base/downcity.sqlite");
    assert_eq!(loaded.config.server.cors.origins, ["*"]);
    assert_eq!(loaded.source("server.listen"), Source::Default);
    assert_eq!(loaded.warnings, [""; 0]);
}

#[test]
fn tokens_are_signed_as_configured() {
    let tokens = |text: &str| File::new(text).load(&[]).config.tokens;
    let default = tokens("");
    assert_eq!(default.algorithm, TokenAlgorithm::Hmac);
    assert_eq!(default.rotation_grace.get(), Duration::from_hours(7 * 24));
    let other = tokens("[tokens]\nalgorithm = \"ed25519\"\nrotation_grace = 0\n");
    assert_eq!(other.algorithm, TokenAlgorithm::Ed25519);
    assert_eq!(other.rotation_grace.get(), Duration::ZERO);
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = File::new(
        "[server]\nlisten = \"127.0.0.1:1\"\nbody_limit = \"1MiB\"\n\n[database]\nurl = \"sqlite:file.sqlite\"\n",
    );
    let variables = [("PORT", "2"), ("DOWNCITY_FEDERATION_DATABASE_URL", "sqlite:env.sqlite")];

    let loaded = file.load(&variables);
    assert_eq!(loaded.config.server.listen, "127.0.0.1:2");
    assert_eq!(loaded.source("server.listen"), Source::Env("PORT".into()));
    assert_eq!(loaded.config.database.url, "sqlite:env.sqlite");
    assert_eq!(loaded.config.server.body_limit.get(), 1 << 20);
    assert_eq!(loaded.source("server.body_limit"), file.line(3));

    let flagged = file
        .sources(&variables)
        .flag("--listen", "server.listen", "[::1]:3".into())
        .load()
        .unwrap();
    assert_eq!(flagged.config.server.listen, "[::1]:3");
    assert_eq!(flagged.source("server.listen"), Source::Flag("--listen"));
}

#[test]
fn host_and_port_change_their_part_of_the_address() {
    let listen = |variables| environment(variables).unwrap().config.server.listen;
    assert_eq!(listen(&[("HOST", "0.0.0.0")]), "0.0.0.0:43127");
    assert_eq!(listen(&[("HOST", "::1"), ("PORT", "80")]), "[::1]:80");
    assert_eq!(listen(&[("PORT", "")]), "127.0.0.1:43127");
    assert_eq!(
        listen(&[("PORT", "1"), ("DOWNCITY_FEDERATION__SERVER__LISTEN", "a.example:2")]),
        "a.example:2"
    );
}

#[test]
fn every_key_has_an_environment_variable() {
    let loaded = environment(&[
        ("DOWNCITY_FEDERATION__SERVER__BODY_LIMIT", "2MiB"),
        ("DOWNCITY_FEDERATION__SERVER__MAX_CONNECTIONS", "7"),
        ("DOWNCITY_FEDERATION__SERVER__CORS__ORIGINS", "[\"https://a.example\"]"),
        ("DOWNCITY_FEDERATION__LOG__REQUESTS", "true"),
        ("DOWNCITY_FEDERATION__TOKENS__MAX_TTL", "7d"),
    ])
    .unwrap();
    assert_eq!(loaded.config.server.body_limit.get(), 2 << 20);
    assert_eq!(loaded.config.server.max_connections, 7);
    assert_eq!(loaded.config.server.cors.origins, ["https://a.example"]);
    assert!(loaded.config.log.requests);
    assert_eq!(loaded.config.tokens.max_ttl.unwrap().seconds(), 7 * 86_400);
    assert_eq!(
        loaded.source("log.requests"),
        Source::Env("DOWNCITY_FEDERATION__LOG__REQUESTS".into())
    );

    let error = environment(&[("DOWNCITY_FEDERATION__SERVER__BODY_LIMITS", "2MiB")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "environment DOWNCITY_FEDERATION__SERVER__BODY_LIMITS: server.body_limits is not a known \
         key; did you mean \"body_limit\"?"
    );
}

#[test]
fn older_names_are_accepted_with_a_warning_and_lose_to_the_new_one() {
    let loaded = environment(&[
        ("DOWNCITY_CITY_DATABASE_URL", "sqlite:old.sqlite"),
        ("DOWNCITY_CITY_BASE_URL", "https://old.example"),
        ("DOWNCITY_FEDERATION_BASE_URL", "https://new.example"),
    ])
    .unwrap();
    assert_eq!(loaded.config.database.url, "sqlite:old.sqlite");
    assert_eq!(loaded.config.server.public_url.as_deref(), Some("https://new.example"));
    let expected = "DOWNCITY_CITY_DATABASE_URL is an older name; rename it to DOWNCITY_FEDERATION_DATABASE_URL";
    assert_eq!(loaded.warnings, [expected]);
}

#[test]
fn a_starter_that_is_asked_for_but_has_no_effect_is_told() {
    const OWN: &str = "[[ai.provider]]\nid = \"mirror\"\nprotocol = \"echo\"\n";
    let warnings = |text: &str| File::new(text).load(&[]).warnings;
    let expected = "ai.starter has no effect beside a provider or a model";
    assert_eq!(warnings(&format!("[ai]\nstarter = true\n{OWN}")), [expected]);
    for quiet in [OWN, "[ai]\nstarter = true\n", &format!("[ai]\nstarter = false\n{OWN}")] {
        assert_eq!(warnings(quiet), [] as [&str; 0], "{quiet}");
    }
}

#[test]
fn all_problems_are_told_with_their_lines() {
    let file = File::new(
        "[server]\n\
         lisen = \"127.0.0.1:1\"\n\
         max_connections = \"many\"\n\
         header_timeout = \"5 years\"\n\
         public_url = \"fed.example.com\"\n\
         [servr.cors]\n\
         origins = []\n\
         [log]\n\
         format = \"yaml\"\n\
         level = \"loud\"\n\
         zzz = 1\n",
    );
    assert_eq!(
        file.problems(),
        [
            "2 server.lisen is not a known key; did you mean \"listen\"?",
            "3 server.max_connections must be a whole number, not a text",
            "4 server.header_timeout must be a length of time of at least 1 ms, such as 30 \
             (seconds), \"500ms\", \"30s\", \"5m\" or \"2h\"",
            "5 server.public_url must be a URL such as https://fed.example.com, without query and \
             fragment",
            "6 servr is not a known key; did you mean \"server\"?",
            "9 log.format unknown variant `yaml`, expected `text` or `json`",
            "10 log.level must be error, warn, info, debug or trace, or a list such as \
             info,downcity_ai=debug",
            "11 log.zzz is not a known key; known here: format, level, requests",
        ]
    );
}

#[test]
fn malformed_toml_is_told_with_its_line() {
    let problems = File::new("[server]\nlisten = \"127.0.0.1:1\"\nbody_limit 5\n").problems();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("3  is not valid TOML: "), "{problems:?}");
}

#[test]
fn values_that_cannot_work_are_refused() {
    for (text, key) in [
        ("[server]\nlisten = \"43127\"", "server.listen"),
        ("[server]\nlisten = \"127.0.0.1:99999\"", "server.listen"),
        ("[server]\nmax_connections = 0", "server.max_connections"),
        ("[server.cors]\norigins = [\"app.example.com\"]", "server.cors.origins"),
        ("[server.cors]\norigins = [\"https://app.example.com/\"]", "server.cors.origins"),
        ("[tokens]\ndefault_ttl = \"2d\"\nmax_ttl = \"1d\"", "tokens.default_ttl"),
        ("[tokens]\ndefault_ttl = 0", "tokens.default_ttl"),
        ("[tokens]\nalgorithm = \"none\"", "tokens.algorithm"),
        ("[tokens]\nalgorithm = \"HMAC\"", "tokens.algorithm"),
        ("[tokens]\nrotation_grace = -1", "tokens.rotation_grace"),
        ("[tokens]\nrotation_grace = \"a week\"", "tokens.rotation_grace"),
        ("[database]\nurl = \"mysql://root:geheim@db/x\"", "database.url"),
        ("[metrics]\nlisten = \"9464\"", "metrics.listen"),
        ("[server]\ntrusted_proxies = [\"10.0.0.1/8\"]", "server.trusted_proxies"),
        ("[limits]\nexempt = [\"localhost\"]", "limits.exempt"),
        ("[limits]\nuser = -1", "limits.user"),
        ("[limits]\nwindow = 0", "limits.window"),
        ("[server]\nproxy_header = \"x-real-ip\"", "server.proxy_header"),
    ] {
        let problems = File::new(text).problems();
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert!(problems[0].contains(key), "{problems:?}");
        assert!(!problems[0].contains("geheim"), "{problems:?}");
    }
}

#[test]
fn a_named_file_has_to_exist() {
    let error = ConfigSources::with_environment([("", ""); 0])
        .file("/nowhere/federation.toml")
        .load()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "/nowhere/federation.toml: there is no such file; fed config init writes one"
    );
    assert_eq!(StartError::from(error).kind(), FailureKind::NotFound);
    let error = File::new("[server]\nlisten = 1").sources(&[]).load().unwrap_err();
    assert_eq!(StartError::from(error).kind(), FailureKind::Failed);
}

#[test]
fn the_effective_values_hide_the_password_of_the_database() {
    let file = File::new("[database]\nurl = \"postgres://app:geheim@db.example/fed\"\n");
    let values = serde_json::to_value(file.load(&[]).effective()).unwrap();
    let find = |key: &str| {
        values.as_array().unwrap().iter().find(|value| value["key"] == key).cloned().unwrap()
    };
    assert_eq!(
        find("database.url"),
        json!({
            "key": "database.url",
            "value": "postgres://app@db.example:5432/fed",
            "source": format!("{}:2", file.path().display()),
        })
    );
    assert_eq!(find("server.public_url")["value"], Value::Null);
    assert_eq!(find("server.cors.origins")["source"], "default");
    assert!(!values.to_string().contains("geheim"));
}

#[test]
fn the_template_is_a_valid_file_that_changes_nothing() {
    let loaded = File::new(&template()).load(&[]);
    let defaults = File::new("").load(&[]);
    assert_eq!(format!("{:?}", loaded.config), format!("{:?}", defaults.config));
}

#[test]
fn every_default_of_the_template_can_be_taken_out_of_its_comment() {
    // Tables of lists begin in a comment and have required keys: they are left as they are.
    let mut in_list = false;
    let template = template();
    let lines: Vec<&str> = template
        .lines()
        .map(|line| {
            in_list = (in_list || line.starts_with("# [")) && !line.starts_with('[');
            let is_default =
                |line: &&str| line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
            let default = line.strip_prefix("# ").filter(|line| !in_list && is_default(line));
            default.unwrap_or(line)
        })
        .collect();
    let text = lines.join("\n");
    assert!(text.contains("\nlisten = \"127.0.0.1:43127\"\n"), "{text}");
    File::new(&text).load(&[]);
}

const MODELS: &str = "\
[[ai.provider]]
id = \"mock\"
protocol = \"openai-chat\"
base_url = \"http://127.0.0.1:9/v1\"
env_key = \"MOCK_API_KEY\"

[[ai.model]]
id = \"mock-chat\"
name = \"Mock\"
provider = \"mock\"
price = { input_per_m = 140000 }
";

#[test]
fn models_are_listed_with_the_lines_that_set_them() {
    let file = File::new(MODELS);
    let loaded = file.load(&[]);
    assert_eq!(loaded.config.ai.model[0].id, "mock-chat");
    assert_eq!(loaded.source("ai.provider[0].base_url"), file.line(4));
    assert_eq!(loaded.source("ai.model[0].price.input_per_m"), file.line(11));
    let values = loaded.effective();
    let of_models: Vec<&str> = values
        .iter()
        .map(|value| value.key.as_str())
        .filter(|key| key.starts_with("ai.model"))
        .collect();
    assert_eq!(
        of_models,
        [
            "ai.model[0].id",
            "ai.model[0].name",
            "ai.model[0].provider",
            "ai.model[0].price.input_per_m"
        ]
    );
}

#[test]
fn mistakes_in_providers_and_models_are_told_with_their_lines() {
    let text = MODELS
        .replace("env_key", "env_kee")
        .replace("provider = \"mock\"", "provider = \"mok\"")
        .replace("name = \"Mock\"", "name = 5");
    let problems = File::new(&text).problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
    let unknown = "5 ai.provider[0].env_kee is not a known key; did you mean \"env_key\"?";
    assert_eq!(problems[0], unknown);
    assert_eq!(problems[1], "9 ai.model[0].name must be a text, not a whole number");

    let text = MODELS.replace("provider = \"mock\"", "provider = \"mok\"");
    let problems = File::new(&text).problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("10 ai.model[0].provider "), "{problems:?}");
    assert!(problems[0].contains("mock"), "{problems:?}");
}

#[test]
fn the_effective_values_hide_what_headers_carry() {
    let text = MODELS.replace("env_key", "headers = { x-api-key = \"geheim\" }\nenv_key");
    let values = serde_json::to_value(File::new(&text).load(&[]).effective()).unwrap();
    let header = values.as_array().unwrap().iter().find(|value| {
        value["key"] == "ai.provider[0].headers.x-api-key" && value["value"] == "********"
    });
    assert!(header.is_some(), "{values}");
    assert!(!values.to_string().contains("geheim"));
}

#[test]
fn a_header_beside_the_key_that_fills_it_is_refused() {
    let with = |header: &str, more: &str| {
        let header = format!("headers = {{ {header} = \"x\" }}\n{more}env_key");
        File::new(&MODELS.replace("env_key", &header))
    };
    let own = "auth = { header = \"X-Key\" }\n";
    for (file, name) in
        [(with("Authorization", ""), "authorization"), (with("x-key", own), "x-key")]
    {
        let expected = format!(
            "5 ai.provider[0].headers \"{name}\" is set from env_key; leave one of the two out"
        );
        assert_eq!(file.problems(), [expected]);
    }
    with("Authorization", own).load(&[]);
}

#[test]
fn models_of_the_environment_are_listed_and_replace_those_of_the_file() {
    let provider = "DOWNCITY_FEDERATION__AI__PROVIDER";
    let model = "DOWNCITY_FEDERATION__AI__MODEL";
    let variables = [
        (provider, "[{ id = \"local\", protocol = \"echo\" }]"),
        (model, "[{ id = \"echo\", name = \"Echo\", provider = \"local\" }]"),
    ];
    for text in ["", MODELS] {
        let values = File::new(text).load(&variables).effective();
        let of_lists = values.iter().filter(|value| value.key.contains('['));
        let listed: Vec<(&str, Source)> =
            of_lists.map(|value| (value.key.as_str(), value.source.clone())).collect();
        let of = |name: &str| Source::Env(name.to_owned());
        assert_eq!(
            listed,
            [
                ("ai.provider[0].id", of(provider)),
                ("ai.provider[0].protocol", of(provider)),
                ("ai.model[0].id", of(model)),
                ("ai.model[0].name", of(model)),
                ("ai.model[0].provider", of(model)),
            ]
        );
    }
}

/// The blocks of the documents that are configuration: between ```toml and ```.
fn toml_blocks(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        match &mut open {
            None if line == "```toml" => open = Some(String::new()),
            None => {}
            Some(_) if line == "```" => found.extend(open.take()),
            Some(block) => block.extend([line, "\n"]),
        }
    }
    found
}

#[test]
fn what_the_documents_show_of_the_configuration_can_be_used() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let pages = std::fs::read_dir(root.join("docs")).unwrap().map(|page| page.unwrap().path());
    let mut seen = 0;
    for page in pages.chain([root.join("README.md")]) {
        if page.extension().is_none_or(|kind| kind != "md") {
            continue;
        }
        for block in toml_blocks(&std::fs::read_to_string(&page).unwrap()) {
            // Dependencies of a crate, for those who write Rust.
            if block.starts_with("[dependencies]") {
                continue;
            }
            seen += 1;
            let loaded = File::new(&block).sources(&[]).load();
            if let Err(error) = loaded {
                panic!("{}:\n{block}\n{error}", page.display());
            }
        }
    }
    assert!(seen > 20, "{seen} blocks");
}
