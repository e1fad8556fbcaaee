// Draws a chart: blood pressure as bars from diastolic to systolic, everything else as points; bands, limits and gaps as they are.
"use strict";
window.VitalgateChart = (() => {
  const DENSE = 400; // more readings than that are small dots: large ones would run into one another
  const SPAN_S_MIN = 900; // narrower, and two labels of the time axis would show one minute
  const SHORT_S = 3 * 86400, YEAR_S = 366 * 86400; // up to the first the hours are told; beyond the second, the year
  // Day before month, as the server writes it: "3/4" or "Mar 4" would be read two ways.
  const locale = () => (document.body.dataset.lang === "en" ? "en-GB" : "zh-CN");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const words = () => JSON.parse(document.getElementById("words").textContent);

  function ranges(chart) {
    const numbers = chart.dots.flatMap((dot) => [dot.low, dot.high]).filter((n) => n !== null);
    const bounds = [...(chart.band || []), ...chart.limits.map((line) => line.at), ...numbers];
    if (!bounds.length) return [0, 1];
    const low = Math.min(...bounds), high = Math.max(...bounds);
    const room = (high - low) * 0.12 || 1; // what a limit's label needs beyond it, at least
    return [Math.max(0, low - room), high + room];
  }

  function ticks(chart) {
    if (chart.band) return [...chart.band, ...chart.limits.map((line) => line.at)];
    // The ends of what was measured: between two whole numbers there may be none to tell the height by.
    const numbers = chart.dots.flatMap((dot) => [dot.low, dot.high]).filter((n) => n !== null);
    return numbers.length ? [Math.min(...numbers), Math.max(...numbers)] : [];
  }

  function height(chart, n) {
    if (chart.band) return chart.unit === "mmol/L" || chart.unit === "°C" ? n.toFixed(1) : String(n);
    return String(Number(n.toFixed(2)));
  }

  function band(u, chart) {
    if (!chart.band) return;
    const { ctx } = u, { left, width } = u.bbox, y = (n) => u.valToPos(n, "y", true);
    ctx.save();
    ctx.fillStyle = css("band");
    ctx.fillRect(left, y(chart.band[1]), width, y(chart.band[0]) - y(chart.band[1]));
    const scale = devicePixelRatio, above = chart.limits.length > 0 && chart.limits[0].at > chart.band[1];
    ctx.lineWidth = scale;
    ctx.font = `${10.5 * scale}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    for (const line of chart.limits) {
      const at = y(line.at);
      if (line.outermost) {
        ctx.fillStyle = css("high-bg");
        if (above) ctx.fillRect(left, u.bbox.top, width, at - u.bbox.top);
        else ctx.fillRect(left, at, width, u.bbox.top + u.bbox.height - at);
      }
      ctx.strokeStyle = ctx.fillStyle = css("high");
      ctx.globalAlpha = line.outermost ? 1 : 0.55;
      ctx.setLineDash(line.outermost ? [4 * scale, 4 * scale] : [1 * scale, 4 * scale]);
      ctx.beginPath();
      ctx.moveTo(left, at);
      ctx.lineTo(left + width, at);
      ctx.stroke();
      ctx.globalAlpha = 1;
      if (line.outermost) ctx.fillText(line.label, left + 4 * scale, above ? at - 4 * scale : at + 12 * scale);
    }
    ctx.restore();
  }

  function mark(u, dot, dense) {
    const { ctx, bbox } = u, scale = devicePixelRatio, x = u.valToPos(dot.at, "x", true), y = (n) => u.valToPos(n, "y", true);
    ctx.strokeStyle = ctx.fillStyle = dot.own ? css(dot.severity || "bar") : css("edge");
    ctx.lineWidth = 3 * scale;
    ctx.lineCap = "round";
    ctx.setLineDash(dot.known ? [] : [1 * scale, 5 * scale]);
    ctx.beginPath();
    if (dot.beyond) {
      const down = dot.beyond === "below", edge = down ? bbox.top + bbox.height - 2 * scale : bbox.top + 2 * scale, tip = (down ? -9 : 9) * scale;
      ctx.moveTo(x, edge); ctx.lineTo(x - 5 * scale, edge + tip); ctx.lineTo(x + 5 * scale, edge + tip);
      ctx.fill();
    } else if (dot.high !== null && dot.low !== null) {
      ctx.moveTo(x, y(dot.low)); ctx.lineTo(x, y(dot.high));
      ctx.stroke();
    } else if (dot.low !== null) {
      ctx.lineWidth = 1.6 * scale;
      ctx.setLineDash([]);
      ctx.arc(x, y(dot.low), (dot.severity ? 4.5 : dense ? 1.4 : 3.2) * scale, 0, 7);
      if (dot.known && dot.own) ctx.fill(); else ctx.stroke();
    }
  }

  // What stands under the time axis: the day where it is not that of the label before, the year where there is more than one.
  function dates(span) {
    const format = (parts) => new Intl.DateTimeFormat(locale(), { timeZone: document.body.dataset.zone, hourCycle: "h23", ...parts });
    const day = format({ day: "numeric", month: "short" }), clock = format({ hour: "2-digit", minute: "2-digit" });
    if (span > YEAR_S) return ((month) => (at) => month.format(at))(format({ month: "short", year: "numeric" }));
    if (span > SHORT_S) return (at) => day.format(at);
    const whole = format({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
    return (at, before) => (before && day.format(before) === day.format(at) ? clock : whole).format(at);
  }

  // Each label under its tick; at an end it is moved in as far as it must be to be read whole, which uPlot's own are not.
  function times(u, ticks, told) {
    const { ctx, bbox } = u, scale = devicePixelRatio, moments = ticks.map((at) => new Date(at * 1e3));
    ctx.save();
    ctx.fillStyle = css("soft");
    ctx.font = `${11 * scale}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "top";
    ticks.forEach((at, turn) => {
      const text = told(moments[turn], moments[turn - 1]), width = ctx.measureText(text).width;
      const left = u.valToPos(at, "x", true) - width / 2;
      ctx.fillText(text, Math.max(0, Math.min(left, ctx.canvas.width - width)), bbox.top + bbox.height + 5 * scale);
    });
    ctx.restore();
  }

  function options(box, chart, readout) {
    const lang = locale(), zone = document.body.dataset.zone, told = words();
    const format = (parts) => new Intl.DateTimeFormat(lang, { timeZone: zone, hourCycle: "h23", ...parts });
    const moment = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
    const clock = format(moment), dated = format({ ...moment, year: "numeric" }), year = format({ year: "numeric" });
    // The year where it is not that of the chart's end, as the server writes it.
    const when = (at) => (year.format(at) === year.format(chart.end * 1e3) ? clock : dated).format(at);
    const span = Math.max(SPAN_S_MIN, chart.end - chart.start), under = dates(span);
    let ticked = [];
    const axis = { stroke: css("soft"), font: "11px system-ui, sans-serif", grid: { show: false }, ticks: { show: false } };
    const own = new Set(ticks(chart));
    return {
      width: box.clientWidth, height: box.clientHeight || 190, padding: [8, 10, 0, 0],
      tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), zone),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { time: true, range: [chart.end - span, chart.end + span * 0.02 + 60] }, y: { range: ranges(chart) } },
      axes: [
        { ...axis, size: 24, space: 96, values: (_u, ticks) => { ticked = ticks; return ticks.map(() => null); } },
        { ...axis, size: 42, grid: { show: true, stroke: css("line"), width: 1 }, splits: () => [...own].sort((a, b) => a - b), values: (_u, ticks) => ticks.map((n) => height(chart, n)) },
      ],
      series: [{}, { paths: () => null, points: { show: false } }, { paths: () => null, points: { show: false } }],
      hooks: {
        drawClear: [(u) => band(u, chart)],
        drawAxes: [(u) => times(u, ticked, under)],
        draw: [(u) => { u.ctx.save(); chart.dots.forEach((dot) => mark(u, dot, chart.dots.length > DENSE)); u.ctx.restore(); }],
        setCursor: [(u) => {
          const dot = chart.dots[u.cursor.idx];
          if (!dot || u.cursor.left < 0) { readout.textContent = summary(chart, told); return; }
          const at = dot.known ? when(dot.at * 1e3) : told["time.unknown"];
          readout.textContent = [at, dot.shown, ...dot.marks].join(" · ");
        }],
      },
    };
  }

  function summary(chart, told) {
    if (chart.away) return told["chart.away"];
    if (!chart.dots.length) return told["chart.empty"];
    return chart.unit + chart.limits.slice(1).map((line) => " · ┈ " + line.label).join("") + (chart.dots.some((dot) => !dot.known) ? " · ┆ " + told["chart.unknown"] : "") + (chart.dots.some((dot) => !dot.own) ? " · ○ " + told["chart.control"] : "");
  }

  async function draw(figure) {
    const asked = figure.dataset.days ? "?days=" + figure.dataset.days : "";
    const answer = await fetch(figure.dataset.src + asked, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const chart = await answer.json(), box = figure.querySelector(".plot"), readout = figure.querySelector(".readout");
    if (!box.isConnected) return;
    figure.querySelectorAll("button[data-days]").forEach((one) => one.setAttribute("aria-pressed", String(Number(one.dataset.days) === chart.days)));
    const dots = chart.dots;
    const plot = new uPlot(options(box, chart, readout), [dots.map((d) => d.at), dots.map((d) => d.low), dots.map((d) => d.high)]);
    box.replaceChildren(plot.root);
    readout.textContent = summary(chart, words());
    figure.dataset.drawn = "1";
  }

  function drawAll(root) { root.querySelectorAll("figure.chart").forEach(draw); }
  return { draw, drawAll };
})();
