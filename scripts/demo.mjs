// `npm run demo`: the main job on real input, through require('pm2-rs'), in a home of its own that is removed at the end.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { installPackages, root } from './packages.mjs'

const say = (text) => console.log(`\n== ${text}`)

function prepare() {
  installPackages(['ignore', 2, 2])
  const { status } = spawnSync(process.execPath, ['scripts/build.mjs'], { cwd: root, stdio: ['ignore', 2, 2] })
  if (status !== 0) throw new Error('the build failed; see above')
}

/** Waits until `condition` gives something truthy; a failure names what was waited for. */
async function until(what, condition) {
  for (const end = Date.now() + 30_000; Date.now() < end; ) {
    const answer = await condition()
    if (answer) return answer
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`waited 30 s for ${what}`)
}

function isAlive(pid) {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))
  } catch {
    return false
  }
}

async function main(folder) {
  const home = path.join(folder, 'home')
  writeFileSync(
    path.join(folder, 'server.js'),
    `const server = require('node:http').createServer((_, res) => res.end('hello from ' + process.pid))
server.listen(0, '127.0.0.1', () => {
  console.log('serving on port ' + server.address().port)
  process.send({ type: 'process:msg', data: { port: server.address().port } })
})
process.on('message', (message) => process.send({ type: 'process:msg', data: { answer: 'I heard ' + message.data.question } }))
`,
  )
  writeFileSync(path.join(folder, 'clock.sh'), 'echo "the clock starts"\nwhile true; do date; sleep 1; done\n')

  process.env.PM2_HOME = home
  const pm2 = createRequire(import.meta.url)(root)

  say('connect: starts the daemon')
  const { new_pm2_instance: started } = await pm2.connect()
  const keeper = Number(readFileSync(path.join(home, 'pm2.pid'), 'utf8'))
  console.log(`a new daemon: ${started}; version ${await pm2.getVersion()}; pm2.pid names ${keeper}`)

  say('launchBus: listen to what happens')
  const bus = await pm2.launchBus()
  const heard = []
  bus.on('process:event', ({ event, process: app }) => console.log(`  bus: ${app.name} ${event}`))
  bus.on('process:msg', ({ data }) => heard.push(data))

  say('start an HTTP app and a shell script')
  await pm2.start([
    { name: 'web', script: path.join(folder, 'server.js') },
    { name: 'clock', script: path.join(folder, 'clock.sh') },
  ])

  say('list')
  for (const app of await pm2.list()) {
    console.log(
      `  ${app.pm_id} ${app.name.padEnd(6)} ${app.pm2_env.status} pid ${app.pid} ${app.pm2_env.exec_interpreter}`,
    )
  }

  say('describe web')
  const [web] = await pm2.describe('web')
  console.log(`  script ${web.pm2_env.pm_exec_path}\n  log    ${web.pm2_env.pm_out_log_path}`)

  say('ask the app over HTTP')
  const { port } = await until('the port', () => heard.find((data) => data.port))
  console.log(`  ${await (await fetch(`http://127.0.0.1:${port}/`)).text()}`)

  say('send it a message; its answer comes on the bus')
  await pm2.sendDataToProcessId(web.pm_id, { type: 'process:msg', topic: 'demo', data: { question: 'the question' } })
  console.log(`  ${(await until('the answer', () => heard.find((data) => data.answer))).answer}`)

  say(`kill web with SIGKILL (pid ${web.pid}); it comes back`)
  process.kill(web.pid, 'SIGKILL')
  const again = await until('another pid', async () => {
    const [now] = await pm2.describe('web')
    return now.pm2_env.status === 'online' && now.pid !== web.pid && now
  })
  console.log(`  now pid ${again.pid}, restarted ${again.pm2_env.restart_time} time`)
  await until(
    'the second line in the log',
    () => readFileSync(web.pm2_env.pm_out_log_path, 'utf8').split('\n').length > 2,
  )

  say('the logs')
  for (const file of readdirSync(path.join(home, 'logs')).sort()) {
    for (const line of readFileSync(path.join(home, 'logs', file), 'utf8')
      .trim()
      .split('\n')
      .slice(-2)) {
      if (line) console.log(`  ${file}: ${line}`)
    }
  }

  say('stop and delete all')
  const pids = (await pm2.list()).map((app) => app.pid)
  for (const app of await pm2.stop('all')) console.log(`  ${app.name} ${app.status}`)
  await pm2.delete('all')
  console.log(`  left in the list: ${(await pm2.list()).length}`)

  say('kill the daemon')
  await pm2.killDaemon()
  await pm2.disconnect().catch(() => {})
  const alive = [keeper, ...pids, again.pid].filter(isAlive)
  console.log(`  processes still alive: ${alive.length}`)
  if (alive.length > 0) throw new Error(`still alive: ${alive.join(', ')}`)
}

prepare()
const folder = mkdtempSync(path.join(tmpdir(), 'pm2-rs-demo-'))
try {
  await main(folder)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
say(`done; ${folder} is removed`)
