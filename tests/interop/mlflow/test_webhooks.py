"""Webhooks as MLflow's documentation has them, through its own client; and its own check of the signature agrees with ours.

SPDX-License-Identifier: Apache-2.0
"""
import os
import sys
import unittest

import case

sys.path.insert(0, os.path.join(case.TOP, "tests", "e2e", "server"))
import test_webhooks as receiver  # noqa: E402


@unittest.skipIf(case.VERSION < (3, 3), "webhooks came with MLflow 3.3")
class Webhooks(case.MlflowTest):
    settings = {"WEBHOOKS_PRIVATE_NETWORKS": "127.0.0.1"}

    def test_the_life_of_a_webhook(self):
        from mlflow.entities.webhook import WebhookStatus
        got = receiver.Receiver()
        self.addCleanup(got.close)
        hook = self.client.create_webhook(name="ci", url=got.url, events=["registered_model.created", "model_version_alias.created"],
                                          description="starts the pipeline", secret="s3cret")
        self.assertEqual((hook.name, hook.status, hook.secret), ("ci", WebhookStatus.ACTIVE, None))
        self.assertEqual([str(event) for event in hook.events], ["model_version_alias.created", "registered_model.created"])
        self.client.create_registered_model("pump")
        body = got.wait(1)[0]
        self.assertEqual((body["entity"], body["action"], body["data"]["name"]), ("registered_model", "created", "pump"))
        self.check_signature(got.got[0], "s3cret")
        result = self.client.test_webhook(hook.webhook_id, event="model_version_alias.created")
        self.assertEqual((result.success, result.response_status, result.response_body), (True, 200, "ok"))
        hook = self.client.update_webhook(hook.webhook_id, status="DISABLED", name="off")
        self.assertEqual((hook.name, hook.status), ("off", WebhookStatus.DISABLED))
        self.assertEqual([each.webhook_id for each in self.client.list_webhooks()], [hook.webhook_id])
        self.client.delete_webhook(hook.webhook_id)
        self.assertEqual(list(self.client.list_webhooks()), [])
        self.refused("RESOURCE_DOES_NOT_EXIST", self.client.get_webhook, hook.webhook_id)

    def test_pages(self):
        made = [self.client.create_webhook(name=f"n{n}", url="https://example.com/", events=["prompt.created"]).webhook_id for n in range(5)]
        seen, token = [], None
        while token != "":
            page = self.client.list_webhooks(max_results=2, page_token=token)
            seen += [each.webhook_id for each in page]
            token = page.token or ""
        self.assertEqual(seen, made)
        for webhook_id in made:
            self.client.delete_webhook(webhook_id)

    def check_signature(self, delivery, secret):
        from mlflow.webhooks.delivery import _generate_hmac_signature
        headers, body, _ = delivery
        expected = _generate_hmac_signature(secret, headers["X-MLflow-Delivery-Id"], headers["X-MLflow-Timestamp"], body.decode())
        self.assertEqual(headers["X-MLflow-Signature"], expected)


if __name__ == "__main__":
    case.main()
