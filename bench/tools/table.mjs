// Rows of results as Markdown.

function shown(value) {
  if (value === Number.POSITIVE_INFINITY) return 'never'
  if (Number.isInteger(value)) return String(value)
  const size = Math.abs(value)
  if (size >= 1000) return value.toFixed(0)
  if (size >= 100) return value.toFixed(0)
  if (size >= 10) return value.toFixed(1)
  if (size >= 0.1) return value.toFixed(2)
  return value.toFixed(4)
}

/** `median (least - greatest)`, or why there is none. */
function cell(part) {
  if (part === undefined) return ''
  if (part.failed !== undefined) return `FAILED: ${part.failed.split('\n')[0].replaceAll('|', '\\|').slice(0, 160)}`
  const { median, min, max } = part
  return min === max ? shown(median) : `${shown(median)} (${shown(min)} - ${shown(max)})`
}

/** How many times better ours is than pm2: above 1 is better, whichever way the figure points. */
export function ratio(row) {
  const [ours, pm2] = [row.ours?.median, row.pm2?.median]
  if (ours === undefined || pm2 === undefined || !Number.isFinite(pm2) || !Number.isFinite(ours)) return undefined
  if (ours <= 0 || pm2 <= 0) return undefined
  return row.better === 'lower' ? pm2 / ours : ours / pm2
}

/** Whether the goal is met: true, false, or undefined when this run cannot say. */
export function verdict(row) {
  if (row.goal === undefined || row.ours?.median === undefined) return undefined
  return row.goal.met({ ours: row.ours.median, pm2: row.pm2?.median, floor: row.floor?.median })
}

export function markdown(rows) {
  const head = ['what', 'unit', 'pm2', 'pm2-rs', 'times better', 'floor', 'goal', 'met']
  const lines = rows.map((row) => {
    const times = ratio(row)
    const met = verdict(row)
    return [
      row.what,
      row.unit,
      cell(row.pm2),
      cell(row.ours),
      times === undefined ? '' : shown(times),
      cell(row.floor),
      row.goal?.text ?? '',
      met === undefined ? '' : met ? 'yes' : '**no**',
    ]
  })
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
