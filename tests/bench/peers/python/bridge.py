#!/usr/bin/env python3
"""What a Python user writes: requests and paho-mqtt."""

import json
import os

import paho.mqtt.client
import requests

client = paho.mqtt.client.Client()
if "MQTT_CA" in os.environ:
    client.tls_set(os.environ["MQTT_CA"])
client.connect(os.environ["MQTT_HOST"], int(os.environ["MQTT_PORT"]))
client.loop_start()

url = f"{os.environ['AIVA_URL']}/jobs/events"
with requests.get(url, params={"token": os.environ["AIVA_API_KEY"]}, stream=True,
                  timeout=60) as response:
    for line in response.iter_lines():
        if line.startswith(b"data:"):
            data = line[5:].strip()
            job = json.loads(data)
            client.publish(f"aiva/jobs/{job['job_id']}/state", data, qos=1, retain=True)
