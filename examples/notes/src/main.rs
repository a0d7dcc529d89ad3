//! A Federation with one service of the product's own.

use downcity_server::prelude::*;
use notes::Notes;

#[tokio::main]
async fn main() -> Result<(), StartError> {
    Federation::builder().service(Notes).serve().await
}
