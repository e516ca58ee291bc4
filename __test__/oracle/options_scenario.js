'use strict'

// Starts one app for each row of options_rows.js through stock pm2 or ours, each against its own daemon, and prints what
// came of it. Run as a process of its own, because stock pm2 fixes its paths when it is loaded.

const path = require('node:path')
const pm2 = require(process.env.PM2_PACKAGE)
const { rows } = require('./options_rows.js')

const call = (method, ...args) =>
  new Promise((resolve) => {
    try {
      pm2[method](...args, (error, result) => resolve([error, result]))
    } catch (error) {
      resolve([error])
    }
  })

const folder = process.env.SCRATCH
const path_of = (value) => (value && typeof value === 'object' && value.file ? path.join(folder, value.file) : value)

async function main() {
  await call('connect')
  const results = {}
  for (const [index, row] of rows.entries()) {
    const app = Object.fromEntries(Object.entries(row.app).map(([name, value]) => [name, path_of(value)]))
    if (!('name' in app)) app.name = `row-${index}`
    const [before] = [(await call('list'))[1].map((entry) => entry.pm_id)]
    const [error] = await call('start', app)
    const started = (await call('list'))[1].filter((entry) => !before.includes(entry.pm_id))
    const value = started[0]?.pm2_env[row.key]
    const type = value === undefined ? 'absent' : value
    results[row.id] = { error: error ? String(error.message ?? error) : null, processes: started.length, value: type }
    for (const entry of started) await call('delete', entry.pm_id)
  }
  process.stdout.write(`RESULT${JSON.stringify(results)}\n`, async () => {
    await call('killDaemon')
    process.exit(0)
  })
}

main()
