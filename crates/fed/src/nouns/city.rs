//! `fed city`.

use clap::Subcommand;
use serde_json::json;

use crate::failure::Failure;
use crate::fed::{Change, Fed, Page};
use crate::output::{Ask, Column};

pub(crate) const CITY: &[Column] = &[
    Column::new("ID", "city_id"),
    Column::new("NAME", "name"),
    Column::status("STATUS", "status"),
    Column::time("CREATED", "created_at"),
    Column::time("CHANGED", "updated_at"),
];

/// A product that this Federation serves.
#[derive(Debug, Subcommand)]
pub(crate) enum CityCommand {
    /// List the cities, oldest first.
    List {
        #[command(flatten)]
        page: Page,
    },
    /// Create a city.
    #[command(
        after_help = "Examples:\n  fed city create Notes\n  fed city create \"Mail helper\" --id city_mail"
    )]
    Create {
        /// Its name, for people.
        name: String,
        /// Its id; made up unless given.
        #[arg(long, value_name = "ID")]
        id: Option<String>,
    },
    /// Pause a city: its users are refused until it is activated.
    Pause {
        /// Id of the city.
        #[arg(value_name = "CITY")]
        id: String,
    },
    /// Activate a paused city.
    Activate {
        /// Id of the city.
        #[arg(value_name = "CITY")]
        id: String,
    },
    /// Remove a city and end all of its tokens. A city of the same id later does not revive them.
    #[command(after_help = "Example:\n  fed city remove city_mail --yes")]
    Remove {
        /// Id of the city.
        #[arg(value_name = "CITY")]
        id: String,
    },
}

impl CityCommand {
    pub(crate) async fn run(self, fed: Fed) -> Result<(), Failure> {
        match self {
            Self::List { page } => fed.list("cities/list", page.query(json!({})), CITY).await,
            Self::Create { name, id } => {
                let input = json!({ "name": name, "city_id": id });
                fed.change(Change::new("cities/create", input), CITY).await
            }
            Self::Pause { id } => {
                let what = format!("Pause the city {id}: its users are refused");
                let ask = Ask { what: &what, typed: None };
                let change = Change::new("cities/pause", json!({ "city_id": id })).asking(ask);
                fed.change(change, CITY).await
            }
            Self::Activate { id } => {
                fed.change(Change::new("cities/activate", json!({ "city_id": id })), CITY).await
            }
            Self::Remove { id } => {
                let what = format!("Remove the city {id} and end its tokens");
                let ask = Ask { what: &what, typed: Some(&id) };
                let change = Change::new("cities/remove", json!({ "city_id": id })).asking(ask);
                fed.carry_out(change, &format!("The city {id} is removed.")).await
            }
        }
    }
}
