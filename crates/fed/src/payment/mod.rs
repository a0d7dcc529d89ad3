//! `fed payment`.

mod mock;
mod remote;
mod report;
mod scenarios;
mod simulate;

use std::fmt::Write as _;

use clap::Subcommand;
use downcity_server::FailureKind;
use downcity_server::simulation::Vendor;
use serde_json::{Value, json};

use self::simulate::SimulateArgs;
use crate::args::Layers;
use crate::commands::sources;
use crate::failure::Failure;
use crate::fed::{Fed, Flags};
use crate::nouns;
use crate::output::{json as print_json, print};

const SIMULATE: &str = "\
The events are signed as the provider signs them, and sent to the server's webhook: paid, the same again, another
event of the same payment, several at once, a late end, too little money, another currency, forged, changed and old
signatures, no signature, the provider's other mode, events of other systems, refunds. What the server answers, what
the wallet holds and what the payment says is compared with what has to be; a difference ends with exit code 1.

Only a server with payment.mode = \"test\" is tried: events of a live one would move real credits. Users, top-ups and
payments of the simulation stay in the database; what was credited is taken back at its end.

The admin key and the secret of the webhook are read from the configured database, or from files. Checkouts are
opened at the server, whose provider is played by this command: that needs payment.allow_loopback_http = true and the
provider's base URL set to a free port of this machine, such as STRIPE_API_BASE_URL = http://127.0.0.1:4242/v1. With
--payment no checkout is opened: the events are about that open payment, which is paid afterwards.

Waffo signs with a private key: make a pair, give the private half with --private-key, and set
WAFFO_WEBHOOK_PUBLIC_KEY to the public half.

Examples:
  fed payment simulate --provider stripe
  fed payment simulate --provider dodo --payment pay_0198… --json
  fed payment simulate --provider waffo --private-key waffo-test.pem
  fed payment simulate --provider creem --url https://test.example.com --payment pay_0198… \\
    --admin-key-file admin.key --secret-file creem.secret";

#[derive(Debug, Subcommand)]
pub(crate) enum PaymentCommand {
    #[command(flatten)]
    Remote(nouns::payment::PaymentCommand),
    /// Send a running server what a provider may send, forged and repeated events included, and compare what comes of
    /// it with what has to.
    #[command(after_help = SIMULATE)]
    Simulate(Box<SimulateArgs>),
    /// Print where each provider has to send its webhooks, and which events.
    #[command(after_help = "Example:\n  fed payment webhooks --url https://fed.example.com")]
    Webhooks {
        /// Where the provider reaches the server [default: server.public_url].
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        #[command(flatten)]
        layers: Layers,
    },
}

pub(crate) fn run(flags: &Flags, command: PaymentCommand) -> Result<(), Failure> {
    match command {
        PaymentCommand::Remote(command) => Fed::run(flags, |fed| command.run(fed)),
        PaymentCommand::Simulate(args) => simulate::run(*args, flags.output.json),
        PaymentCommand::Webhooks { url, layers } => webhooks(url, layers, flags.output.json),
    }
}

fn address(base: &str, vendor: Vendor) -> String {
    format!("{}/v1/payment/webhook?provider={}", base.trim_end_matches('/'), vendor.id())
}

fn webhook(base: &str, vendor: Vendor) -> Value {
    json!({
        "provider": vendor.id(),
        "url": address(base, vendor),
        "events": vendor.events(),
        "env_key": vendor.webhook_key(),
    })
}

/// Where the provider of this name has to send its webhooks, which events, and the env key of their
/// secret; for a Federation at this address.
pub(crate) fn webhook_of(base: &str, provider: &str) -> Option<Value> {
    let vendor = Vendor::ALL.into_iter().find(|vendor| vendor.id() == provider)?;
    Some(webhook(base, vendor))
}

fn webhooks(url: Option<String>, layers: Layers, json: bool) -> Result<(), Failure> {
    let base = match url {
        Some(url) => Some(url),
        None => sources(layers).load()?.config.server.public_url,
    };
    let base = base.ok_or_else(|| {
        Failure::new(
            FailureKind::Failed,
            "server.public_url is not set; set it, or name the address with --url.",
        )
    })?;
    if json {
        return print_json(&Vendor::ALL.into_iter().map(|vendor| webhook(&base, vendor)).collect());
    }
    let text = Vendor::ALL.into_iter().fold(String::new(), |mut text, vendor| {
        let _ = writeln!(text, "{}\n  url     {}", vendor.id(), address(&base, vendor));
        let _ = writeln!(text, "  secret  {}", vendor.webhook_key());
        for (number, event) in vendor.events().iter().enumerate() {
            let _ = writeln!(text, "  {:6}  {event}", if number == 0 { "events" } else { "" });
        }
        text
    });
    print(&text)
}
