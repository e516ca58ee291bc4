import { Gate } from '../tools/flood.mjs'
import { atMost } from '../tools/goals.mjs'
import { quantile } from '../tools/stats.mjs'

const sizes = (tools) => tools.pick([10, 50], [10, 50, 200, 500])

const LOADED = 10

/** A step of the driver: the milliseconds of each of `turns` calls. */
async function ask({ call, now, sleep }, { verb, size, turns }) {
  await sleep(500)
  const times = []
  for (let turn = 0; turn < turns; turn++) {
    const start = now()
    const answer = verb === 'list' ? await call('list') : await call('describe', turn % size)
    times.push(now() - start)
    const wanted = verb === 'list' ? size : 1
    if (answer.length !== wanted) throw new Error(`${verb} gave ${answer.length} processes, not ${wanted}`)
    await sleep(2)
  }
  return times
}

/** `list` while an app writes as fast as it can; into /dev/null, for the disk is not what is asked about. */
async function loaded(peer, tools) {
  const home = tools.home()
  const driver = await tools.driver(peer, home)
  await driver.call('start', home.idle(LOADED - 1))
  const gate = new Gate(home)
  await driver.call('start', {
    script: tools.native(),
    args: ['writer', gate.file, '1000000000'],
    interpreter: 'none',
    name: 'writer',
    out_file: '/dev/null',
    env: home.appEnv(),
  })
  await gate.release()
  const times = await driver.run(ask, { verb: 'list', size: LOADED, turns: tools.pick(60, 150) })
  return { loadedp50: quantile(times, 0.5), loadedp99: quantile(times, 0.99) }
}

export default {
  name: 'query',
  rows(tools) {
    const rows = {}
    for (const size of sizes(tools)) {
      for (const verb of ['list', 'describe']) {
        for (const part of ['p50', 'p99']) {
          rows[`${verb}${size}${part}`] = {
            what: `\`${verb}()\` ${part} with ${size} apps`,
            unit: 'ms',
            better: 'lower',
          }
        }
      }
    }
    rows.loadedp50 = {
      what: `\`list()\` p50 with ${LOADED} apps while one floods its log`,
      unit: 'ms',
      better: 'lower',
    }
    rows.loadedp99 = { what: '... p99', unit: 'ms', better: 'lower' }
    if (rows.list200p50) rows.list200p50.goal = atMost(2, 'ms')
    if (rows.list500p50) rows.list500p50.goal = atMost(4, 'ms')
    return rows
  },

  async measure(peer, tools) {
    const home = tools.home()
    const driver = await tools.driver(peer, home)
    const result = {}
    let running = 0
    for (const size of sizes(tools)) {
      await driver.call('start', home.idle(size - running, `idle-${size}`))
      running = size
      for (const verb of ['list', 'describe']) {
        const times = await driver.run(ask, { verb, size, turns: tools.pick(60, 150) })
        result[`${verb}${size}p50`] = quantile(times, 0.5)
        result[`${verb}${size}p99`] = quantile(times, 0.99)
      }
    }
    await home.end()
    return { ...result, ...(await loaded(peer, tools)) }
  },
}
