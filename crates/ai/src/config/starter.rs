//! Well-known providers for those who have not written a configuration yet: with the key of one, its
//! models are there.
//!
//! Each entry is the block of its provider in docs/provider-cookbook.md; a test compares them.

use super::{
    AiConfig, Auth, DefaultModes, MaxTokensField, ModelConfig, OpenAiMode, ProtocolKind,
    ProviderConfig,
};

/// Id of the provider and the model that answer without any key.
const ECHO_ID: &str = "echo";

/// Providers and models that count while the configuration names neither.
///
/// The default is the table of well-known providers.
#[derive(Clone, Debug, PartialEq)]
pub struct Starter {
    /// The providers.
    pub provider: Vec<ProviderConfig>,
    /// Their models: of those that can be called, the first one is the default, after those of the
    /// table.
    pub model: Vec<ModelConfig>,
}

impl Starter {
    /// Whether it counts beside this configuration.
    fn counts(config: &AiConfig) -> bool {
        config.starter && !config.names_its_own()
    }

    /// The configuration with the providers of the table, where it counts.
    pub(crate) fn with_providers(&self, config: &AiConfig) -> AiConfig {
        let mut config = config.clone();
        if Self::counts(&config) {
            config.provider = self.provider.iter().cloned().chain([echo_provider()]).collect();
        }
        config
    }

    /// The models of the table, where it counts: `echo`, which needs no key, after all others.
    pub(crate) fn models(&self, config: &AiConfig) -> Vec<ModelConfig> {
        if !Self::counts(config) {
            return Vec::new();
        }
        let last = ModelConfig { default: DefaultModes::All(false), ..echo_model() };
        self.model.iter().cloned().chain([last]).collect()
    }
}

impl Default for Starter {
    fn default() -> Self {
        Self {
            provider: vec![openai(), anthropic(), google(), deepseek(), openrouter(), mistral()],
            model: vec![
                model("gpt", "GPT", "openai", "gpt-4.1"),
                ModelConfig {
                    max_output: Some(8192),
                    ..model("claude", "Claude", "anthropic", "claude-sonnet-4-5")
                },
                model("gemini", "Gemini", "google", "gemini-2.5-pro"),
                model("deepseek", "DeepSeek", "deepseek", "deepseek-chat"),
                model("llama", "Llama", "openrouter", "meta-llama/llama-3.3-70b-instruct"),
                model("mistral", "Mistral", "mistral", "mistral-large-latest"),
            ],
        }
    }
}

fn openai() -> ProviderConfig {
    ProviderConfig {
        max_tokens_field: MaxTokensField::MaxCompletionTokens,
        ..chat("openai", "https://api.openai.com/v1", "OPENAI_API_KEY")
    }
}

fn anthropic() -> ProviderConfig {
    ProviderConfig {
        protocol: ProtocolKind::AnthropicMessages,
        ..provider("anthropic", "ANTHROPIC_API_KEY")
    }
}

fn google() -> ProviderConfig {
    ProviderConfig {
        protocol: ProtocolKind::GeminiGenerateContent,
        ..provider("google", "GEMINI_API_KEY")
    }
}

fn deepseek() -> ProviderConfig {
    ProviderConfig {
        text_only: true,
        openai_mode: OpenAiMode::Normalize,
        ..chat("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY")
    }
}

fn openrouter() -> ProviderConfig {
    chat("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY")
}

fn mistral() -> ProviderConfig {
    const UNKNOWN_TO_IT: [&str; 7] = [
        "stream_options",
        "max_completion_tokens",
        "seed",
        "user",
        "logit_bias",
        "logprobs",
        "top_logprobs",
    ];
    ProviderConfig {
        include_usage: false,
        strip: UNKNOWN_TO_IT.map(str::to_owned).to_vec(),
        ..chat("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY")
    }
}

/// The provider that answers without any key.
pub(crate) fn echo_provider() -> ProviderConfig {
    ProviderConfig {
        id: ECHO_ID.to_owned(),
        protocol: ProtocolKind::Echo,
        auth: Auth::None,
        include_usage: true,
        ..ProviderConfig::default()
    }
}

/// The model that answers without any key.
pub(crate) fn echo_model() -> ModelConfig {
    ModelConfig {
        id: ECHO_ID.to_owned(),
        name: "Echo (development)".to_owned(),
        description: "Repeats what you say, offline and for free.".to_owned(),
        provider: ECHO_ID.to_owned(),
        default: DefaultModes::All(true),
        ..ModelConfig::default()
    }
}

/// One that speaks the chat completions of OpenAI.
fn chat(id: &str, base_url: &str, env_key: &str) -> ProviderConfig {
    ProviderConfig { base_url: Some(base_url.to_owned()), ..provider(id, env_key) }
}

fn provider(id: &str, env_key: &str) -> ProviderConfig {
    ProviderConfig {
        id: id.to_owned(),
        env_key: Some(env_key.to_owned()),
        include_usage: true,
        ..ProviderConfig::default()
    }
}

fn model(id: &str, name: &str, provider: &str, upstream_model: &str) -> ModelConfig {
    ModelConfig {
        id: id.to_owned(),
        name: name.to_owned(),
        provider: provider.to_owned(),
        upstream_model: Some(upstream_model.to_owned()),
        ..ModelConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Block {
        ai: AiConfig,
    }

    /// The TOML blocks of the cookbook by the provider that they are about.
    fn cookbook() -> BTreeMap<String, AiConfig> {
        let text = include_str!("../../../../docs/provider-cookbook.md");
        let blocks = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        let read = blocks.map(|block| toml::from_str::<Block>(block).expect(block).ai);
        read.map(|config| (config.provider[0].id.clone(), config)).collect()
    }

    #[test]
    fn every_entry_is_the_block_of_the_cookbook() {
        let starter = Starter::default();
        let cookbook = cookbook();
        assert!(cookbook.len() > starter.provider.len(), "{:?}", cookbook.keys());
        for provider in &starter.provider {
            let block = &cookbook[&provider.id];
            assert_eq!(block.provider, std::slice::from_ref(provider));
            let models = starter.model.iter().filter(|model| model.provider == provider.id);
            // Which one is the default is for the order to say, not for a single block.
            let plain = |model: &ModelConfig| ModelConfig {
                default: ModelConfig::default().default,
                ..model.clone()
            };
            let block_models: Vec<ModelConfig> = block.model.iter().map(plain).collect();
            assert_eq!(block_models, models.cloned().collect::<Vec<_>>());
            assert!(!block.model.is_empty());
        }
    }

    #[test]
    fn it_is_a_configuration_that_can_be_used() {
        let starter = Starter::default();
        let config = AiConfig::default();
        let model = starter.models(&config);
        let whole = AiConfig { model, ..starter.with_providers(&config) };
        assert_eq!(whole.validate(), []);
        assert!(whole.model.iter().all(|model| model.price.is_none()), "its calls are free");
    }
}
