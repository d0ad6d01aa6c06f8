/* render.h - what the drivers need of rendering besides render_delivery (lane.h). */
#ifndef HERALD_SEND_RENDER_H
#define HERALD_SEND_RENDER_H

#include "herald/delivery.h"

/* A mail's two parts of TEMPLATE_MAX_OUTPUT, grown by base64 and line breaks (4/3 · 78/76), with room for the
 * headers. */
#define RENDER_MAX_BYTES (3 * 1024 * 1024)

/* A mail's envelope sender, borrowed from the delivery's snapshot. The delivery has been rendered. */
const char *render_sender(const struct delivery *delivery);

#endif
