#!/usr/bin/env python3
"""Charges a card. The input is JSON on standard input, the result JSON on standard output.

A task may be handed out twice if a worker dies, so the payment provider gets the idempotency key: it recognises the
second request for the same payment. Exit code 100 says that another attempt would be in vain, any other code that it
would not.
"""
import json
import os
import sys

task = json.load(sys.stdin)

if task["card"].startswith("expired"):
    print(f"the card {task['card']} has expired", file=sys.stderr)
    sys.exit(100)

# Here the provider would be called, with this key in the header Idempotency-Key.
key = os.environ["DURABLE_IDEMPOTENCY_KEY"]

json.dump({"charged": task["cents"], "reference": key}, sys.stdout)
