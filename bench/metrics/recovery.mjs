import { setTimeout as sleep } from 'node:timers/promises'

import { atMost } from '../tools/goals.mjs'
import { isAlive } from '../tools/proc.mjs'
import { median } from '../tools/stats.mjs'

const [NATIVE, TALKING] = [94, 6]
const PATIENCE = 20_000
const APPS = NATIVE + TALKING

const talker = `setInterval(() => console.log('still here'), 5)\n`

const table = (driver) =>
  driver.run(async ({ call }) =>
    (await call('list')).filter(({ pm2_env }) => pm2_env.status === 'online').map(({ pid, pm_id }) => [pm_id, pid]),
  )

/** The process that answers: where a keeper watches over it, the one that `pm2.pid` does not name. */
function daemonOf(home) {
  const pids = home.daemonSide()
  return pids.length === 1 ? pids[0] : pids.find((pid) => pid !== home.pidFile())
}

async function once(peer, tools) {
  const home = tools.home()
  const first = await tools.driver(peer, home)
  const script = home.write('talker.js', talker)
  await first.call('start', [
    home.idle(NATIVE),
    { script, name: 'talker', exec_mode: 'fork', instances: TALKING, env: home.appEnv() },
  ])
  const before = await table(first)
  if (before.length !== APPS) throw new Error(`${before.length} of ${APPS} apps run before the kill`)
  await first.end()
  // Has required the package, as a script that runs would have: `require` and its cost are not recovery.
  const driver = await tools.driver(peer, home)
  await driver.run(({ pm2, sleep }) => pm2 && sleep(500))
  const pid = daemonOf(home)
  const start = performance.now()
  process.kill(pid, 'SIGKILL')
  while (isAlive(pid)) await sleep(0)
  // Stock's client sometimes never answers after this: then nobody manages these apps any more, either.
  const late = sleep(PATIENCE, [], { ref: false })
  const after = new Map(await Promise.race([table(driver), late]))
  const ms = performance.now() - start
  await sleep(1000) // A talker finds out at its next line.
  const died = before.filter(([, app]) => !isAlive(app)).length
  const lost = before.filter(([id, app]) => after.get(id) !== app).length
  await home.end()
  return { ms: died + lost > 0 ? Number.POSITIVE_INFINITY : ms, died, lost }
}

export default {
  name: 'recovery',
  rows: {
    ms: {
      what: `kill -9 of the daemon (${APPS} apps) to the next answer`,
      unit: 'ms',
      better: 'lower',
      goal: atMost(50, 'ms'),
    },
    died: { what: '... apps that died', unit: '', better: 'lower', goal: atMost(0, '') },
    lost: { what: '... apps no longer in the list', unit: '', better: 'lower', goal: atMost(0, '') },
  },

  async measure(peer, tools) {
    const turns = []
    // A home each: a keeper makes a daemon that dies again and again wait, and that is not what is asked about.
    for (let turn = 0; turn < tools.pick(2, 5); turn++) turns.push(await once(peer, tools))
    const most = (key) => Math.max(...turns.map((turn) => turn[key]))
    return { ms: median(turns.map(({ ms }) => ms)), died: most('died'), lost: most('lost') }
  },
}
