//! The exposure of an actor, an integration or a time.

use super::{Client, Error, ExposureQuestion, routes::get};
use crate::api::responses::Exposure;

impl Client {
    /// Returns what the actor received or stored that is still live, of the integration, or in the time.
    ///
    /// # Errors
    /// [`Error`]; a question about archived records is a refusal with the code `archived`.
    pub async fn exposure(&self, question: &ExposureQuestion) -> Result<Exposure, Error> {
        let ExposureQuestion { actor, integration, since, until, transitive } = question;
        let integration = integration.map(|id| id.to_string());
        let [since, until] = [since, until].map(|time| time.map(|time| time.to_string()));
        let parameters = [
            ("actor", actor.as_deref()),
            ("integration", integration.as_deref()),
            ("since", since.as_deref()),
            ("until", until.as_deref()),
            ("transitive", transitive.then_some("true")),
        ];
        self.json(get("/sfp/api/audit/exposure", &parameters)).await
    }
}
