// What a Node.js user writes without a package for the stream: fetch and mqtt.js.
import mqtt from 'mqtt';

const { AIVA_URL, AIVA_API_KEY, MQTT_URL } = process.env;
const client = await mqtt.connectAsync(MQTT_URL);
const response = await fetch(`${AIVA_URL}/jobs/events?token=${AIVA_API_KEY}`);
let rest = '';

for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + text).split(/\r?\n/);
  rest = lines.pop();
  for (const line of lines) {
    if (!line.startsWith('data:')) continue;
    const data = line.slice(5).trimStart();
    const job = JSON.parse(data);
    client.publish(`aiva/jobs/${job.job_id}/state`, data, { qos: 1, retain: true });
  }
}
