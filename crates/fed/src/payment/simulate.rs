//! `fed payment simulate`: what is needed for it, and how it ends.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use downcity_server::simulation::{Account, PrivateKey, Secret, Signer, Vendor, is_loopback};
use downcity_server::{FailureKind, Federation};
use serde_json::json;

use super::mock::Mock;
use super::remote::{As, Remote};
use super::report;
use super::scenarios::Simulation;
use crate::args::Layers;
use crate::commands::{block_on, sources};
use crate::failure::Failure;
use crate::output::{json as print_json, print};

const ADMIN_KEY: &str = "DOWNCITY_FEDERATION_ADMIN_SECRET_KEY";

#[derive(Debug, ClapArgs)]
pub(crate) struct SimulateArgs {
    /// Play this provider.
    #[arg(long, value_parser = ["stripe", "creem", "dodo", "waffo"])]
    provider: String,
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:43127")]
    url: String,
    /// Send events about this open payment, in place of payments of the simulation's own.
    #[arg(long, value_name = "PAYMENT_ID")]
    payment: Option<String>,
    /// Make users, top-ups and payments in this city.
    #[arg(long, default_value = "city_downcity")]
    city: String,
    /// Read the secret of the webhook from this file, in place of the database; - reads standard input.
    #[arg(long, value_name = "PATH")]
    secret_file: Option<PathBuf>,
    /// Sign as Waffo with this RSA key, PEM or base64.
    #[arg(long, value_name = "PATH")]
    private_key: Option<PathBuf>,
    /// Read the admin key from this file, in place of the database.
    #[arg(long, value_name = "PATH")]
    admin_key_file: Option<PathBuf>,
    #[command(flatten)]
    layers: Layers,
}

/// Env entries that say how a provider is reached, and as whom.
fn keys_of(vendor: Vendor) -> [&'static str; 4] {
    let credential = match vendor {
        Vendor::Stripe => "STRIPE_SECRET_KEY",
        Vendor::Creem => "CREEM_API_KEY",
        Vendor::Dodo => "DODO_PAYMENTS_API_KEY",
        Vendor::Waffo => "WAFFO_PRIVATE_KEY",
    };
    [ADMIN_KEY, vendor.webhook_key(), vendor.base_url_key(), credential]
}

fn failed(text: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Failed, text)
}

pub(super) fn run(args: SimulateArgs, json: bool) -> Result<(), Failure> {
    block_on(simulate(args, json))?
}

async fn simulate(args: SimulateArgs, json: bool) -> Result<(), Failure> {
    let vendor = Vendor::of(&args.provider).ok_or_else(|| failed("There is no such provider."))?;
    let stored = stored(&args, vendor).await?;
    let admin_key = match &args.admin_key_file {
        Some(path) => read_secret(path)?,
        None => stored.get(ADMIN_KEY).cloned().ok_or_else(|| failed("There is no admin key."))?,
    };
    let signer = signer(&args, vendor, &stored)?;
    let remote = Remote::new(&args.url, admin_key)?;
    let mut simulation = Simulation::new(remote, vendor, signer, args.city.clone());
    is_for_tests(simulation.remote(), vendor).await?;
    match &args.payment {
        Some(payment_id) => simulation.on(payment_id).await?,
        None => {
            let _played = play(vendor, &stored).await?;
            simulation.all().await?;
        }
    }
    let steps = &simulation.steps;
    let wrong = steps.iter().filter(|step| !step.is_right()).count();
    if json {
        print_json(&json!({
            "provider": vendor.id(), "url": args.url, "ok": wrong == 0, "steps": report::json(steps),
        }))?;
    } else {
        print(&report::table(steps))?;
    }
    if wrong > 0 {
        return Err(failed(format!(
            "{wrong} of {} events did not come to what they have to.",
            steps.len()
        )));
    }
    writeln!(std::io::stderr(), "fed: all {} events came to what they have to", steps.len())?;
    Ok(())
}

/// What the configured database holds; nothing where files hold all that is needed.
async fn stored(args: &SimulateArgs, vendor: Vendor) -> Result<BTreeMap<String, Secret>, Failure> {
    let has_signer = args.secret_file.is_some() || vendor == Vendor::Waffo;
    if args.admin_key_file.is_some() && has_signer && args.payment.is_some() {
        return Ok(BTreeMap::new());
    }
    let builder = Federation::builder().config_sources(sources(args.layers.clone()));
    Ok(builder.env_values(&keys_of(vendor)).await?)
}

/// Who signs the events.
fn signer(
    args: &SimulateArgs,
    vendor: Vendor,
    stored: &BTreeMap<String, Secret>,
) -> Result<Signer, Failure> {
    if vendor == Vendor::Waffo {
        let path = args.private_key.as_ref().ok_or_else(|| {
            failed("Waffo signs with a private key: name one with --private-key, whose public half is the server's WAFFO_WEBHOOK_PUBLIC_KEY.")
        })?;
        let key = Signer::key(read_secret(path)?.expose());
        return key.map_err(|error| failed(format!("{}: {error}", path.display())));
    }
    let secret = match &args.secret_file {
        Some(path) => Some(read_secret(path)?),
        None => stored.get(vendor.webhook_key()).cloned(),
    };
    let secret = secret.ok_or_else(|| {
        let key = vendor.webhook_key();
        failed(format!("{key} is not set: without it the server believes no webhook. Set it with POST /v1/env/upsert, or name a file with --secret-file."))
    })?;
    Ok(Signer::secret(secret.expose()))
}

fn read_secret(path: &Path) -> Result<Secret, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(path).map(|read| text = read)
    };
    read.map_err(|error| {
        Failure::new(FailureKind::NotFound, format!("{} cannot be read: {error}.", path.display()))
    })?;
    Ok(Secret::new(text.trim()))
}

/// Only servers on which no real money moves are tried.
async fn is_for_tests(remote: &Remote, vendor: Vendor) -> Result<(), Failure> {
    let methods = remote.get(As::Admin, "/v1/payment/methods").await?.success("The methods")?;
    let method = methods["items"]
        .as_array()
        .and_then(|methods| methods.iter().find(|method| method["id"] == vendor.id()));
    let Some(method) = method else {
        return Err(failed("The server does not know the provider."));
    };
    if method["test"] != true {
        return Err(Failure::new(
            FailureKind::NotAllowed,
            "The server takes real money: simulated events would give real credits away. Try a server with payment.mode = \"test\".",
        ));
    }
    if let Some(reason) = method["reason"].as_str() {
        return Err(failed(format!("The server's provider {} is off: {reason}.", vendor.id())));
    }
    Ok(())
}

/// Plays the provider's API where the server looks for it.
async fn play(vendor: Vendor, stored: &BTreeMap<String, Secret>) -> Result<Option<Mock>, Failure> {
    let [_, _, base_key, credential_key] = keys_of(vendor);
    let base = stored.get(base_key).map(|base| base.expose().to_owned());
    let authority = base
        .as_deref()
        .and_then(|base| base.trim().strip_prefix("http://"))
        .map(|rest| rest.split('/').next().unwrap_or_default().to_owned())
        .filter(|authority| is_loopback(authority));
    let Some(authority) = authority else {
        return Err(failed(format!(
            "The simulation opens checkouts, and plays the provider for that: set {base_key} to a free port of \
             this machine, such as http://127.0.0.1:4242/v1, and payment.allow_loopback_http = true. Or name an \
             open payment with --payment."
        )));
    };
    let address = if authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
    {
        authority
    } else {
        format!("{authority}:80")
    };
    let credential = stored
        .get(credential_key)
        .ok_or_else(|| failed(format!("{credential_key} is not set.")))?;
    let credential = match vendor {
        Vendor::Waffo => {
            let key = PrivateKey::parse(credential.expose());
            let key = key.map_err(|error| failed(format!("{credential_key}: {error}")))?;
            Secret::new(key.public_pem())
        }
        _ => Secret::new(credential.expose().trim()),
    };
    Mock::start(&address, Account::new(vendor, credential, false)).await
}
