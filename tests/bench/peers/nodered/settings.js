// Node-RED without its editor, and with the eventsource package for function nodes.
module.exports = {
  uiHost: '127.0.0.1',
  uiPort: Number(process.env.NODERED_PORT),
  userDir: process.env.NODERED_DIR,
  flowFile: 'flows.json',
  credentialSecret: 'bench',
  disableEditor: true,
  telemetry: { enabled: false, updateNotification: false },
  functionGlobalContext: { EventSource: require('eventsource').EventSource },
  functionExternalModules: false,
  externalModules: {
    autoInstall: false,
    palette: { allowInstall: false, allowUpload: false },
    modules: { allowInstall: false },
  },
  logging: { console: { level: 'info', metrics: false, audit: false } },
};
