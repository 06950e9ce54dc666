"""What English pairs of questions are made from: two stocks that share nothing.

The first is for choosing a threshold, the second for measuring what it does. Wordings of one line ask the same; words
of one line are of one sort, so that each asks for something else; the two of a line of opposites do so too.
"""

from typing import Final

from classifier.meaning.stock import Stock, lines, words

FIRST: Final = Stock(
    asks=lines("""
how do I return {thing}? | what is the way to return {thing}? | can you tell me how to send back {thing}?
| how can I return {thing}? Thanks!
what does {thing} cost? | what is the price of {thing}? | could you tell me the price of {thing}?
| Hi, what does {thing} cost?
how long does delivery to {place} take? | please tell me how long delivery to {place} takes
| how long does shipping to {place} take? | Hello, how long will delivery to {place} take?
when does {name}'s {event} begin? | when does the {event} of {name} start?
| do you know when {name}'s {event} starts? | Please, when does {name}'s {event} commence?
what is the capital of {place}? | tell me the capital of {place}
| can you tell me the capital of {place} please? | I'd like to know the capital of {place}.
how do I install {software} on my {device}? | how can I install {software} on my {device}?
| what steps do I take to install {software} on my {device}?
| Excuse me, how do you install {software} on a {device}?
is {food} good for a {animal}? | is {food} okay for a {animal}?
| could you tell me if {food} is good for a {animal}? | Quick question: is {food} good for a {animal}?
what are the symptoms of {illness}? | tell me the symptoms of {illness}
| can you tell me the symptoms of {illness}? | what are the signs of {illness}?
who wrote the {art} about the {animal}? | who is the author of the {art} about the {animal}?
| do you know who wrote the {art} about the {animal}? | hi, who wrote the {art} about the {animal}? thank you
how many calories are in {number} grams of {food}? | how many calories do {number} grams of {food} have?
| please tell me how many calories are in {number} grams of {food}
| how many calories does {number} grams of {food} contain?
can I cook {food} in a {tool}? | is it possible to cook {food} in a {tool}? | can one cook {food} in a {tool}?
| Hello! Can I cook {food} in a {tool}? Thanks
explain how a {machine} works | how does a {machine} work? | can you explain how a {machine} works?
| please explain how a {machine} works
where can I buy {thing} in {place}? | where can I purchase {thing} in {place}?
| can you tell me where I can buy {thing} in {place}? | Hey, where can I buy {thing} in {place}?
my {device} shows error {number}, how do I repair it? | how do I fix error {number} on my {device}?
| how can I fix error {number} on my {device}? | what should I do to fix error {number} on my {device}?
I forgot the password of my {software} account | how do I reset the password of my {software} account?
| how can I reset my {software} password? | what is the way to reset my {software} password?
what happened in {year} in {place}? | tell me what happened in {place} in {year}
| what occurred in {year} in {place}? | do you know what happened in {year} in {place}?
"""),
    sorts={
        "thing": words("a shirt|a lamp|a kettle|a sofa|a blanket|a backpack|a watch|a mirror|a carpet|an umbrella"),
        "place": words("France|Norway|Peru|Kenya|Vietnam|Portugal|Chile|Egypt|Canada|Poland"),
        "name": words("Anna|Robert|Miriam|Jamal|Olivia|Pedro|Ingrid|Takashi"),
        "event": words("concert|lecture|trial|party|meeting|exam|wedding|rehearsal"),
        "software": words("Blender|Firefox|Photoshop|Spotify|Zoom|Slack|Dropbox"),
        "device": words("laptop|tablet|phone|television|printer|router|camera"),
        "food": words("rice|chicken|spinach|cheese|salmon|bread|potato|yogurt|mushroom|walnut"),
        "animal": words("dog|cat|rabbit|horse|hamster|parrot|goat|turtle"),
        "illness": words("measles|diabetes|influenza|asthma|malaria|migraine|anemia|pneumonia"),
        "art": words("novel|poem|song|play|essay|opera"),
        "number": words("3|12|40|75|110|250|404|1000"),
        "tool": words("microwave|wok|steamer|oven|pan|grill"),
        "machine": words("refrigerator|telescope|turbine|piano|microscope|elevator|battery|compass"),
        "year": words("1848|1914|1969|1989|2001|2020"),
        "day": words("Monday|Tuesday|Wednesday|Thursday|Saturday|Sunday"),
        "month": words("January|March|April|July|October|December"),
    },
    opposites=lines("""
open the valve | close the valve
increase the volume | decrease the volume
enable notifications | disable notifications
add a user | remove a user
encrypt the file | decrypt the file
import contacts | export contacts
subscribe to the list | unsubscribe from the list
lend money | borrow money
gain weight | lose weight
upload a video | download a video
start the engine | stop the engine
lock the screen | unlock the screen
hide the column | show the column
sort in ascending order | sort in descending order
"""),
    opposed=words("how do I {}?|can I {}?|I want to {}.|what does it cost to {}?|is it safe to {}?|why should I {}?"),
    roles=lines("""
does {a} owe {b} money?
did {a} beat {b}?
is {a} older than {b}?
how far is it from {a} to {b}?
can I convert {a} to {b}?
why did {a} leave {b}?
should I use {a} instead of {b}?
was {a} invited by {b}?
"""),
    role_sorts=lines("""
Anna | Robert
the teacher | the student
the dog | the cat
Norway | France
the seller | the buyer
Miriam | Pedro
the king | the bishop
"""),
    kinds=lines("""
when does the {event} start? | where does the {event} start? | why does the {event} start? | how does the {event} start?
who repaired the {machine}? | when was the {machine} repaired? | where was the {machine} repaired?
| how much did repairing the {machine} cost?
how many people live in {place}? | who lives in {place}? | where in {place} do people live?
| how long do people live in {place}?
how often should I feed a {animal}? | how much should I feed a {animal}? | why should I feed a {animal}?
| when should I feed a {animal}?
"""),
    negated=lines("""
can I eat {food} with {illness}? | can I not eat {food} with {illness}?
is {software} free? | is {software} not free?
which {animal} can swim? | which {animal} cannot swim?
why does my {device} start? | why doesn't my {device} start?
do I need a visa for {place}? | don't I need a visa for {place}?
foods that contain {food} | foods that do not contain {food}
I have received {thing} | I have not received {thing}
is {food} allowed in {place}? | is {food} never allowed in {place}?
how do I travel to {place} with a passport? | how do I travel to {place} without a passport?
"""),
    dated=lines("""
are you open on {day}?
what is the weather like on {day}?
when does school begin in {month}?
is it cold in {place} in {month}?
book a table for {day} at {number}
who won in {year}?
"""),
    measured=lines("""
how much is {number} kilograms in stones? | how much is {number} pounds in stones?
convert {number} miles | convert {number} kilometers
is {number} dollars too much for {thing}? | is {number} euros too much for {thing}?
set the oven to {number} celsius | set the oven to {number} fahrenheit
what can I do in {number} hours? | what can I do in {number} days?
is {number} minutes enough for the {event}? | is {number} seconds enough for the {event}?
"""),
    compared=lines("""
which {animal} is the fastest? | which {animal} is the slowest?
what is the cheapest {device}? | what is the most expensive {device}?
what happened before {year}? | what happened after {year}?
is {food} healthier than rice? | is {food} as healthy as rice?
what is the minimum age in {place}? | what is the maximum age in {place}?
list all {animal} breeds | list some {animal} breeds
the first {event} of {name} | the last {event} of {name}
is the {machine} inside the house? | is the {machine} outside the house?
what are the advantages of a {machine}? | what are the disadvantages of a {machine}?
give me more {food} recipes | give me fewer {food} recipes
"""),
    kin=lines("""
nurse | surgeon | pharmacist | midwife | therapist | paramedic
violin | cello | flute | trumpet | harp | drum
kitchen | bedroom | bathroom | garage | attic | basement
knee | elbow | ankle | shoulder | wrist | hip
bus | tram | ferry | helicopter | bicycle | truck
oak | birch | maple | pine | willow | cedar
shirt | trousers | skirt | jacket | sweater | scarf
river | lake | mountain | desert | island | volcano
algebra | geometry | biology | physics | chemistry | geography
anger | envy | joy | grief | pride | shame
theft | fraud | murder | arson | bribery | smuggling
knife | spoon | fork | plate | bowl | cup
butter | cream | milk | honey | flour | sugar
apple | pear | plum | grape | melon | peach
shark | dolphin | whale | octopus | lobster | seal
ant | bee | wasp | beetle | moth | spider
hotel | hostel | restaurant | bakery | pharmacy | museum
contract | invoice | warranty | passport | certificate | permit
password | username | address | signature | birthday | nickname
soldier | sailor | pilot | officer | captain | general
bridge | tunnel | dam | tower | harbor | lighthouse
keyboard | mouse | monitor | speaker | microphone | scanner
variable | function | class | loop | pointer | array
mortgage | pension | salary | bonus | tax | dividend
email | letter | fax | call | message | newsletter
hammer | wrench | drill | saw | pliers | chisel
"""),
    about=words(
        "what should I know about a {}?|tell me more about the {}|how do I choose a {}?|why is the {} important?"
        "|do you have a {}?|I want to change my {}."
    ),
    added=words("for children|in winter|without a receipt|at night|by train|for free|with my neighbour|online|again"),
)

SECOND: Final = Stock(
    asks=lines("""
how do I renew {paper}? | how can I renew {paper}? | can you please tell me how to renew {paper}?
| what is the right way to renew {paper}? | good morning, how do I renew {paper}?
what are the ingredients of {dish}? | tell me the ingredients of {dish}
| could you tell me the ingredients of {dish}, please? | I want to know the ingredients of {dish}
how far is {city} from {town}? | how far is it from {town} to {city}?
| do you know how far {city} is from {town}? | Hi there, how far is {city} from {town}?
what does {worker} earn in {city}? | what is the salary of {worker} in {city}?
| how much does {worker} earn in {city}? | hello, what does {worker} earn in {city}? thanks
how do I get {stain} out of {fabric}? | how can I get {stain} out of {fabric}?
| how do I remove {stain} from {fabric}? | any idea how to remove {stain} from {fabric}?
when was {scholar} born? | in what year was {scholar} born? | can you tell me when {scholar} was born?
| please tell me when {scholar} was born. Thank you!
what is the boiling point of {metal}? | at what temperature does {metal} boil?
| tell me the boiling point of {metal} | I'd like to know the boiling point of {metal}
how do I play {sport}? | how is {sport} played? | can you explain how to play {sport}? | explain how to play {sport}
why do {wild} sleep so long? | what is the reason that {wild} sleep so long? | I wonder why {wild} sleep so long
| how come {wild} sleep so long?
does {insurance} cover {harm}? | is {harm} covered by {insurance}?
| could you tell me whether {insurance} covers {harm}? | excuse me, does {insurance} cover {harm}?
how do I delete row {count} in {program}? | how can I delete row {count} in {program}?
| how do I erase row {count} in {program}? | what is the way to delete row {count} in {program}?
recommend a {genre} book for a {worker_} | suggest a {genre} book for a {worker_}
| can you recommend a {genre} book for a {worker_}? | please recommend a {genre} book for a {worker_}
can I plant {plant} in {season}? | is it possible to plant {plant} in {season}?
| could I plant {plant} in {season}? | Quick question: can I plant {plant} in {season}?
translate "{phrase}" into Italian | please translate "{phrase}" into Italian
| can you translate "{phrase}" into Italian? | could you please translate "{phrase}" into Italian?
what is the difference between {sport} and {sport_b}? | what's the difference between {sport} and {sport_b}?
| tell me the difference between {sport} and {sport_b}
| hey, what is the difference between {sport} and {sport_b}?
my order {count} has not arrived | order {count} hasn't arrived | hello, my order {count} has not arrived
| my order {count} did not arrive
"""),
    sorts={
        "paper": words("my passport|my license|my membership|my lease|my certificate|my visa|my prescription"),
        "dish": words("lasagna|goulash|ramen|paella|risotto|borscht|hummus|pancakes|omelette"),
        "city": words("Berlin|Lima|Osaka|Cairo|Denver|Lagos|Madrid"),
        "town": words("Vienna|Quito|Kyoto|Tunis|Boston|Accra|Seville"),
        "worker": words("a nurse|a plumber|an architect|a pilot|a carpenter|a dentist|a librarian|a butcher"),
        "worker_": words("nurse|plumber|pilot|carpenter|dentist|farmer|gardener"),
        "stain": words("ink|wine|blood|coffee|grease|mud|wax"),
        "fabric": words("wool|silk|leather|cotton|linen|denim"),
        "scholar": words("Newton|Darwin|Curie|Euler|Pasteur|Kepler|Turing"),
        "metal": words("copper|zinc|mercury|iron|lead|tin|aluminum|nickel"),
        "sport": words("tennis|chess|cricket|golf|badminton|rugby|hockey|poker"),
        "sport_b": words("squash|volleyball|lacrosse|checkers|curling"),
        "wild": words("lions|bears|bats|wolves|owls|elephants|giraffes|koalas"),
        "insurance": words("home insurance|car insurance|travel insurance|health insurance|life insurance"),
        "harm": words("theft|fire|flooding|hail|vandalism|an earthquake"),
        "count": words("7|15|28|63|99|301|512|8086"),
        "program": words("Excel|Notion|Airtable|Stata|Access"),
        "genre": words("fantasy|romance|horror|history|crime|science"),
        "plant": words("tulips|tomatoes|garlic|roses|carrots|lettuce|beans|onions"),
        "season": words("spring|summer|autumn|winter"),
        "phrase": words("where is the station|I am hungry|see you tomorrow|the bill please|good luck"),
        "weekday": words("Tuesday|Thursday|Friday|Sunday|Wednesday|Monday"),
        "moon": words("February|May|June|August|September|November"),
        "annum": words("1776|1815|1945|1999|2008|2022"),
    },
    opposites=lines("""
freeze the dough | thaw the dough
widen the path | narrow the path
mute the channel | unmute the channel
inflate the tire | deflate the tire
accept the offer | decline the offer
raise the blinds | lower the blinds
hire a consultant | fire a consultant
board the plane | leave the plane
tighten the screw | loosen the screw
buy shares | sell shares
expand the menu | collapse the menu
pin the message | unpin the message
brighten the picture | darken the picture
heat the room | cool the room
"""),
    opposed=words(
        "how can I {}?|is it easy to {}?|I would like to {}.|when should I {}?|who can {}?|what do I need to {}?"
    ),
    roles=lines("""
does {a} report to {b}?
did {a} sell the house to {b}?
is {a} taller than {b}?
which bus goes from {a} to {b}?
how do I migrate from {a} to {b}?
can {a} sue {b}?
why does {a} distrust {b}?
was {a} painted by {b}?
"""),
    role_sorts=lines("""
Lena | Marcus
the nurse | the patient
the fox | the hen
Lima | Quito
the tenant | the landlord
Sofia | Ahmed
the author | the critic
Postgres | Oracle
"""),
    kinds=lines("""
when is {sport} played? | where is {sport} played? | who plays {sport}? | why is {sport} played?
how much {stain} is in {dish}? | why is {stain} in {dish}? | how long is {stain} in {dish}? | who put {stain} in {dish}?
who founded {city}? | when was {city} founded? | why was {city} founded? | where was {city} founded?
how tall are {wild}? | how old are {wild}? | how fast are {wild}? | where are {wild}?
"""),
    negated=lines("""
may I wash {fabric} at home? | may I not wash {fabric} at home?
are {wild} dangerous? | aren't {wild} dangerous?
who plays {sport}? | who does not play {sport}?
should I store {plant} in the fridge? | should I never store {plant} in the fridge?
is {metal} magnetic? | isn't {metal} magnetic?
which dishes have {dish} in them? | which dishes have no {dish} in them?
I can log in to {program} | I can't log in to {program}
does anyone like {genre} books? | does nobody like {genre} books?
can I drive in {city} with a permit? | can I drive in {city} without a permit?
"""),
    dated=lines("""
does the bank close early on {weekday}?
will it rain in {city} on {weekday}?
which holidays are in {moon}?
what should I plant in {moon}?
remind me on {weekday} at {count}
what was invented in {annum}?
"""),
    measured=lines("""
how heavy is {count} liters of milk? | how heavy is {count} gallons of milk?
is {count} grams of {metal} valuable? | is {count} ounces of {metal} valuable?
can I run {count} meters? | can I run {count} yards?
is {count} yen a lot? | is {count} yuan a lot?
how big is {count} megabytes? | how big is {count} gigabytes?
will the trip take {count} weeks? | will the trip take {count} months?
"""),
    compared=lines("""
what is the best {genre} book? | what is the worst {genre} book?
is {metal} heavier than water? | is {metal} lighter than water?
who ruled {city} since {annum}? | who ruled {city} until {annum}?
show {dish} recipes with {plant} | show {dish} recipes except {plant}
what is the highest point of {city}? | what is the lowest point of {city}?
are both {wild} extinct? | are any {wild} extinct?
is {sport} harder than {sport_b}? | is {sport} easier than {sport_b}?
do {wild} live above the ground? | do {wild} live below the ground?
what are the benefits of {sport}? | what are the risks of {sport}?
which is older, {city} or {town}? | which is younger, {city} or {town}?
"""),
    kin=lines("""
baker | butcher | tailor | barber | florist | jeweler
guitar | saxophone | clarinet | banjo | organ | tuba
sofa | armchair | desk | wardrobe | shelf | stool
thumb | finger | toe | heel | palm | nail
subway | taxi | scooter | yacht | canoe | airplane
rose | orchid | daisy | sunflower | lavender | jasmine
boot | sandal | glove | belt | hat | sock
forest | valley | glacier | swamp | beach | cave
economics | philosophy | sociology | linguistics | astronomy | law
fear | disgust | surprise | boredom | guilt | love
fever | cough | rash | headache | nausea | fatigue
pot | kettle | blender | toaster | whisk | ladle
pepper | cinnamon | ginger | basil | mustard | vinegar
orange | lemon | banana | cherry | mango | fig
eagle | pigeon | swan | penguin | crow | falcon
snake | lizard | frog | crocodile | toad | salamander
library | theater | cinema | stadium | gym | church
recipe | manual | dictionary | diary | catalog | atlas
deposit | refund | discount | fee | fine | subsidy
mayor | senator | minister | governor | ambassador | judge
window | door | roof | wall | floor | ceiling
compiler | debugger | editor | browser | database | firewall
integer | string | boolean | float | matrix | vector
wedding | funeral | birthday | graduation | christening | anniversary
brush | broom | mop | sponge | bucket | towel
needle | thread | button | zipper | fabric | scissors
"""),
    about=words(
        "what is special about a {}?|explain the history of the {}|where do I find a {}?|how much does a {} cost?"
        "|is a {} worth it?|who invented the {}?"
    ),
    added=words(
        "for beginners|in Spain|with one hand|after midnight|on a budget|for vegetarians|with a broken arm|twice"
    ),
)
