// Tells the server in which zone this viewer lives, then opens the worklist.
"use strict";
document.cookie = "zone=" + encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC") + "; path=/; max-age=31536000; samesite=strict";
location.replace("/");
