//! Proofs of the log, as the server states them.

use super::{Client, Error, call::Call, routes::get};

impl Client {
    /// Returns the proof that a record is in the tree of that size: hashes in base64, in the order of RFC 6962.
    pub async fn inclusion_proof(&self, sequence: u64, size: u64) -> Result<Vec<String>, Error> {
        self.json(proof([("sequence", sequence), ("size", size)])).await
    }

    /// Returns the proof that the larger tree begins with the smaller one.
    pub async fn consistency_proof(&self, from: u64, to: u64) -> Result<Vec<String>, Error> {
        self.json(proof([("from", from), ("to", to)])).await
    }
}

fn proof(parameters: [(&str, u64); 2]) -> Call {
    let [first, second] = parameters.map(|(name, value)| (name, value.to_string()));
    get("/sfp/api/audit/proof", &[(first.0, Some(&first.1)), (second.0, Some(&second.1))])
}
