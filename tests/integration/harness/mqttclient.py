"""Clients of paho-mqtt for Python, in its versions 1.6 and 2.

Version 2 has to be told with which arguments it calls back. `on_connect` and `on_subscribe` get more of them than in
version 1 with MQTT 3.1.1, `on_disconnect` and `on_publish` always: handlers take what they use and leave the rest
to `*_`.
"""

from paho.mqtt import client as mqtt


def new_client(client_id="", **options):
    """An mqtt.Client that is not connected yet; `options` are those that both versions know."""
    if hasattr(mqtt, "CallbackAPIVersion"):
        options["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION2
    return mqtt.Client(client_id=client_id, **options)
