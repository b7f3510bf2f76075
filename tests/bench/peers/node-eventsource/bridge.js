// What a Node.js user writes: the eventsource package and mqtt.js.
import { EventSource } from 'eventsource';
import mqtt from 'mqtt';

const { AIVA_URL, AIVA_API_KEY, MQTT_URL } = process.env;
const client = mqtt.connect(MQTT_URL);

client.once('connect', () => {
  const source = new EventSource(`${AIVA_URL}/jobs/events?token=${AIVA_API_KEY}`);
  source.onmessage = (event) => {
    const job = JSON.parse(event.data);
    client.publish(`aiva/jobs/${job.job_id}/state`, event.data, { qos: 1, retain: true });
  };
});
