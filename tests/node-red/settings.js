// Node-RED for the tests: this machine alone, no editor, nothing from the network, quick to reconnect.
module.exports = {
    uiHost: "127.0.0.1",
    uiPort: Number(process.env.NODE_RED_PORT),
    flowFile: "flows.json",
    credentialSecret: "for-tests-only",
    disableEditor: process.env.NODE_RED_EDITOR !== "1",
    mqttReconnectTime: 250,
    telemetry: { enabled: false, updateNotification: false },
    runtimeState: { enabled: true, ui: false },
    functionExternalModules: false,
    externalModules: {
        autoInstall: false,
        palette: { allowInstall: false, allowUpload: false },
        modules: { allowInstall: false }
    },
    editorTheme: { tours: false },
    logging: { console: { level: "info", metrics: false, audit: false } }
};
