'use strict'

// What a subscriber of the bus hears while apps are started, restarted, stopped, crash and speak. Run as a process of its
// own, through the package named by PM2_PACKAGE. Prints one JSON array of {step, topic, payload}.

const path = require('node:path')
const pm2 = require(process.env.PM2_PACKAGE)

const app = (name) => path.join(process.env.APP_FOLDER, name)
const heard = []
let step = 'connect'

const call = (method, ...args) =>
  new Promise((resolve, reject) => {
    pm2[method](...args, (error, result) =>
      error ? reject(new Error(`${method}: ${error.message ?? error}`)) : resolve(result),
    )
  })
const quiet = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

async function main() {
  await call('connect')
  const bus = await call('launchBus')
  bus.on('*', (topic, payload) => heard.push({ step, topic, payload }))
  await quiet(200)
  const during = async (name, action, wait = 500) => {
    step = name
    await action()
    await quiet(wait)
  }
  await during('start', () => call('start', { script: app('messages.js'), name: 'msg' }), 800)
  await during('data', () => call('sendDataToProcessId', 0, { type: 'process:msg', topic: 't', data: { a: 1 } }))
  await during('line', () => call('sendLineToStdin', 0, 'abc'))
  await during('signal', () => call('sendSignalToProcessName', 'SIGUSR2', 'msg'))
  await during('restart', () => call('restart', 'msg'))
  await during('stop', () => call('stop', 'msg'))
  await during('delete', () => call('delete', 'msg'))
  await during('crash', () => call('start', { script: app('crash.js'), name: 'crash', max_restarts: 2 }), 1500)
  await during('throw', () => call('start', { script: app('throws.js'), name: 'throws', autorestart: false }), 1000)
  step = 'kill'
  await call('killDaemon')
  await quiet(200)
}

main().then(
  () => process.stdout.write(JSON.stringify(heard), () => process.exit(0)),
  (error) => {
    console.error(error)
    process.exit(1)
  },
)
