'use strict'

// The public entry: one ready-made instance, as `require('pm2')` gives (contract/api.md section 1).
// Nothing but the class is loaded here: the addon, the bus and the rest come with the first call that needs them.

const API = require('./lib/api.js')

// Programs and the apps they start look at this variable (contract/api.md 4.9).
process.env.PM2_PROGRAMMATIC = 'true'

const pm2 = new API()
pm2.custom = API
Object.defineProperty(pm2, 'defineConfig', { value: (config) => config, writable: true, configurable: true })

module.exports = pm2
